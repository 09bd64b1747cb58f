"""Data sets: real ones that scikit-learn ships, generated ones, and the user's own."""

from __future__ import annotations

import importlib.util
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.learning.data import Dataset, Raw
from simulator.registry import Registry

DATASETS: Registry[Dataset] = Registry("dataset")
MAX_NUMBERS = 200_000_000


def _affordable(samples: int, features: int) -> None:
    """Refuse to generate more than fits into memory."""
    if samples * features > MAX_NUMBERS:
        raise DataError(
            f"{samples:,} samples of {features:,} features are too many numbers to generate; "
            f"at most {MAX_NUMBERS:,}"
        )


def _bundled(name: str, skip: int) -> NDArray[Any]:
    """A table of scikit-learn's, read without importing scikit-learn (a second of CPU time)."""
    found = importlib.util.find_spec("sklearn")
    folder = (
        Path(found.submodule_search_locations[0])
        if found and found.submodule_search_locations
        else Path()
    )
    path = folder / "datasets" / "data" / name
    if not path.is_file():
        raise DataError(
            f"scikit-learn's {name} is not where it used to be ({path}); "
            "install scikit-learn 1.5 or newer"
        )
    return np.loadtxt(path, delimiter=",", skiprows=skip)


@DATASETS.register("digits")
@dataclass(frozen=True)
class Digits:
    """1,797 handwritten digits of 8 x 8 pixels, 10 classes (UCI)."""

    def read(self, rng: np.random.Generator) -> Raw:
        del rng
        table = _bundled("digits.csv.gz", 0)
        return Raw(table[:, :-1].reshape(-1, 8, 8), table[:, -1], 10)


@DATASETS.register("breast_cancer")
@dataclass(frozen=True)
class BreastCancer:
    """569 tumours, 30 measurements, 2 classes (Wisconsin)."""

    def read(self, rng: np.random.Generator) -> Raw:
        del rng
        table = _bundled("breast_cancer.csv", 1)
        return Raw(table[:, :-1], table[:, -1], 2)


@DATASETS.register("wine")
@dataclass(frozen=True)
class Wine:
    """178 wines, 13 measurements, 3 classes (UCI)."""

    def read(self, rng: np.random.Generator) -> Raw:
        del rng
        table = _bundled("wine_data.csv", 1)
        return Raw(table[:, :-1], table[:, -1], 3)


@DATASETS.register("classification")
@dataclass(frozen=True)
class Classification:
    """Generated classes: normal clouds, `separation` standard deviations apart."""

    samples: Annotated[int, Ge(2)] = 4096
    features: Annotated[int, Ge(1)] = 64
    classes: Annotated[int, Ge(2)] = 10
    separation: Annotated[float, Gt(0)] = 4.0

    def read(self, rng: np.random.Generator) -> Raw:
        _affordable(max(self.samples, self.classes), self.features)
        centres = rng.normal(size=(self.classes, self.features))
        centres *= self.separation / np.linalg.norm(centres, axis=1, keepdims=True)
        y = rng.integers(self.classes, size=self.samples)
        return Raw(centres[y] + rng.normal(size=(self.samples, self.features)), y, self.classes)


@DATASETS.register("regression")
@dataclass(frozen=True)
class Regression:
    """Generated numbers: a random linear function of normal inputs plus normal noise."""

    samples: Annotated[int, Ge(2)] = 4096
    features: Annotated[int, Ge(1)] = 32
    noise: Annotated[float, Ge(0)] = 0.1

    def read(self, rng: np.random.Generator) -> Raw:
        _affordable(self.samples, self.features)
        x = rng.normal(size=(self.samples, self.features))
        truth = rng.normal(size=self.features)
        return Raw(x, x @ truth + self.noise * rng.normal(size=self.samples), None)


@DATASETS.register("npz")
@dataclass(frozen=True)
class Npz:
    """The user's own arrays `x`, `y` and perhaps `x_test`, `y_test` in one .npz file.

    Labels of an integer type mean classification, floats regression.
    """

    path: str

    def read(self, rng: np.random.Generator) -> Raw:
        del rng
        arrays = _load(self.path)
        for name in ("x", "y"):
            if name not in arrays:
                raise DataError(
                    f"{self.path}: no array {name!r}; it holds "
                    f"{', '.join(sorted(arrays)) or 'nothing'}"
                )
        for name, array in arrays.items():
            if array.dtype.kind not in "fiub":
                raise DataError(
                    f"{self.path}: array {name!r} has type {array.dtype}; expected numbers"
                )
            if not array.ndim:
                raise DataError(
                    f"{self.path}: array {name!r} is a single number; expected one per sample"
                )
        if ("x_test" in arrays) != ("y_test" in arrays):
            raise DataError(f"{self.path}: x_test and y_test must both be given, or neither")
        y = arrays["y"]
        classes = int(y.max(initial=0)) + 1 if y.dtype.kind in "iub" else None
        if classes is not None and classes > max(2, len(y)):
            raise DataError(
                f"{self.path}: label {classes - 1} among {len(y)} samples; number the classes "
                "0, 1, 2, ..., or store y as floats for regression"
            )
        test = (arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
        return Raw(arrays["x"], y, classes, test)


def _load(path: str) -> dict[str, NDArray[Any]]:
    try:
        with Path(path).open("rb") as stream:
            archive = np.load(stream, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise DataError(f"{path} is a single array; expected an .npz with x and y")
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(
            f"{path} is no readable .npz of plain arrays ({error}); save it with "
            "numpy.savez(path, x=..., y=...)"
        ) from None
