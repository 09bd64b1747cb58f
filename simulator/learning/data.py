"""Data: a training and a test set, standardised, checked and read-only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.engine.streams import Streams
from simulator.errors import DataError

Array = NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Raw:
    """A data set as it was read or made.

    Attributes
    ----------
    x
        Inputs, shape (n, features) or (n, height, width).
    y
        Class numbers 0..classes-1, or numbers to predict, shape (n,).
    classes
        Number of classes; None for regression.
    test
        Own test set (x, y), or None if one is to be split off.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    classes: int | None
    test: tuple[NDArray[Any], NDArray[Any]] | None = None


class Dataset(Protocol):
    """A scenario's `learning.dataset`."""

    def read(self, rng: np.random.Generator) -> Raw: ...


@dataclass(frozen=True, eq=False)
class Data:
    """Training and test set, inputs flattened and standardised.

    Attributes
    ----------
    x, y
        Training inputs (n, features) and targets (n,).
    x_test, y_test
        Held-out inputs and targets.
    classes
        Number of classes; None for regression.
    image
        Height and width if the inputs are images.
    """

    name: str
    x: Array
    y: NDArray[Any]
    x_test: Array
    y_test: NDArray[Any]
    classes: int | None
    image: tuple[int, int] | None

    @property
    def features(self) -> int:
        return int(self.x.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.x.dtype


def prepare(
    dataset: Dataset, name: str, data_seed: int, test_fraction: float, dtype: str = "float32"
) -> Data:
    """Read *dataset*, check it, split off a test set and standardise the inputs.

    Inputs are shifted and scaled to mean 0 and variance 1 per feature over the training
    set (images: over all pixels).  The split depends on *data_seed* alone.

    Raises
    ------
    DataError
        If a value is not finite, shapes do not fit, or a part would be empty.
    """
    streams = Streams(data_seed)
    raw = dataset.read(streams.get("dataset"))
    _check(raw, name)
    if raw.test is not None:
        x, y, (x_test, y_test) = raw.x, raw.y, raw.test
    else:
        order = streams.get("split").permutation(len(raw.x))
        held = max(1, round(test_fraction * len(order)))
        if held >= len(order):
            raise DataError(f"{name} has {len(order)} samples; none would be left to train on")
        x, y = raw.x[order[held:]], raw.y[order[held:]]
        x_test, y_test = raw.x[order[:held]], raw.y[order[:held]]
    image = (int(x.shape[1]), int(x.shape[2])) if x.ndim == 3 else None
    x, x_test = (part.reshape(len(part), -1).astype(np.float64) for part in (x, x_test))
    axis = None if image else 0
    with np.errstate(over="ignore", invalid="ignore"):
        mean, spread = x.mean(axis), x.std(axis)
    if not np.isfinite(spread).all():
        raise DataError(f"{name}: values are too large to standardise; rescale them first")
    spread = np.where(spread > 0, spread, 1.0)
    kind = np.dtype(dtype) if raw.classes is None else np.dtype(np.int64)
    parts = [((part - mean) / spread).astype(dtype) for part in (x, x_test)]
    with np.errstate(over="ignore"):
        labels = [part.astype(kind) for part in (y, y_test)]
    for part in (*parts, *labels):
        if not np.isfinite(part).all():
            raise DataError(f"{name}: values are too large for {dtype}; rescale them first")
        part.setflags(write=False)
    return Data(name, parts[0], labels[0], parts[1], labels[1], raw.classes, image)


def _check(raw: Raw, name: str) -> None:
    for part, (x, y) in {"": (raw.x, raw.y), " (test)": raw.test or (raw.x, raw.y)}.items():
        if x.ndim not in (2, 3) or len(x) != len(y) or y.ndim != 1 or not x.size:
            raise DataError(
                f"{name}{part}: x has shape {x.shape} and y {y.shape}; expected "
                "(n, features) or (n, height, width) and (n,), none of them 0"
            )
        for array, label in ((x, "x"), (y, "y")):
            if not np.isfinite(array).all():
                row, *column = np.argwhere(~np.isfinite(array))[0].tolist()
                at = f"row {row}" + (f", column {column[0]}" if column else "")
                raise DataError(
                    f"{name}{part}: {label} is not finite in {at}; "
                    "remove or fill such samples first"
                )
        if raw.classes is not None and not (
            np.equal(np.mod(y, 1), 0).all() and y.min() >= 0 and y.max() < raw.classes
        ):
            raise DataError(
                f"{name}{part}: labels must be whole numbers "
                f"0..{raw.classes - 1}, found {y.min()}..{y.max()}"
            )
    if raw.classes is not None and len(np.unique(raw.y)) < 2:
        raise DataError(f"{name}: all samples have the same label; there is nothing to learn")
    if raw.test is not None and raw.test[0].shape[1:] != raw.x.shape[1:]:
        raise DataError(f"{name}: x_test has shape {raw.test[0].shape}, x {raw.x.shape}")
