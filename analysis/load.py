"""Loading: result folders become runs with tables."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from analysis.errors import ResultError
from analysis.kinds import KINDS, NEEDS_OF_ALL, NEEDS_OF_ONE

if TYPE_CHECKING:
    import pandas as pd

Content = TypeVar("Content")


@dataclass(frozen=True)
class Run:
    """One result folder.

    Attributes
    ----------
    folder
        Where it is.
    summary, manifest
        Contents of ``summary.json`` and ``manifest.json``.
    """

    folder: Path
    summary: dict[str, Any]
    manifest: dict[str, Any]

    @property
    def key(self) -> tuple[str, int]:
        """Algorithm and number of workers; runs that share it differ in seed or settings."""
        return self.summary["algorithm"], self.summary["workers"]

    def table(self, name: str) -> pd.DataFrame:
        """One table as a frame.

        Raises
        ------
        ResultError
            If the run did not record it or the file is damaged.
        """
        import pandas as pd

        missing = f"has no table {name!r}; the scenario's record: left it out"
        return self._read(f"{name}.csv.gz", pd.read_csv, missing)

    def has(self, table: str) -> bool:
        """Was this table recorded?"""
        return (self.folder / f"{table}.csv.gz").exists()

    def topology(self) -> dict[str, Any]:
        """Nodes and links of the cluster, with positions.

        Raises
        ------
        ResultError
            If there is no such file, or it is damaged.
        """
        missing = "has no topology.json.gz; it was made by an older version, run again"
        return self._read("topology.json.gz", json.load, missing)

    def _read(self, name: str, parse: Callable[[TextIO], Content], missing: str) -> Content:
        """What *parse* makes of a compressed file of this run."""
        path = self.folder / name
        try:
            with gzip.open(path, "rt") as stream:
                return parse(stream)
        except FileNotFoundError:
            raise ResultError(f"{self.folder} {missing}") from None
        except (OSError, EOFError, zlib.error, ValueError) as error:
            raise ResultError(
                f"{path} is damaged ({error}); remove the folder and run again"
            ) from None

    def settings(self) -> dict[str, Any]:
        """Every setting of the resolved scenario in SI units, by dotted path."""
        return dict(_flat(self.manifest["scenario"]))

    def setting(self, path: str) -> Any:
        """Value of one setting, by dotted path.

        Raises
        ------
        ResultError
            If the scenario has no such setting.
        """
        settings = self.settings()
        if path not in settings:
            section = path.split(".", maxsplit=1)[0]
            near = ", ".join(sorted(key for key in settings if section in key))
            raise ResultError(
                f"{self.folder}: its scenario has no setting {path!r}; known: "
                f"{near or ', '.join(sorted(settings))}"
            )
        return settings[path]


def _flat(data: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Leaves of nested mappings and lists by dotted path; a list of numbers is one leaf."""
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _flat(value, f"{prefix}.{key}" if prefix else key)
    elif isinstance(data, list) and any(isinstance(entry, dict) for entry in data):
        for index, entry in enumerate(data):
            yield from _flat(entry, f"{prefix}.{index}")
    else:
        yield prefix, data


def load(paths: Iterable[str | Path]) -> list[Run]:
    """All runs in *paths*, each a run folder or a folder of runs, without repetitions.

    Raises
    ------
    ResultError
        If a path has no runs, or a run cannot be read.
    """
    folders: dict[Path, None] = {}
    for path in map(Path, paths):
        found = (
            [path]
            if (path / "manifest.json").is_file()
            else sorted(
                file.parent
                for file in path.glob("runs/*/manifest.json")
                if not file.parent.name.startswith(".")
            )
        )
        if not found:
            raise ResultError(
                f"{path} holds no results; expected a folder that `paceline run` or "
                "`paceline sweep` wrote"
            )
        folders |= dict.fromkeys(found)
    runs = [_read(folder) for folder in folders]
    return sorted(runs, key=lambda run: (*run.key, run.summary["seed"], str(run.folder)))


def _read(folder: Path) -> Run:
    documents = []
    for name in ("summary.json", "manifest.json"):
        try:
            document = json.loads((folder / name).read_text())
        except (OSError, ValueError) as error:
            raise ResultError(f"{folder / name} cannot be read ({error})") from None
        if not isinstance(document, dict) or "schema_version" not in document:
            raise ResultError(f"{folder / name} is not what paceline writes")
        if document["schema_version"] > 1:
            raise ResultError(f"{folder / name} was made by a newer version of paceline")
        documents.append(document)
    return Run(folder, *documents)


def drawable(runs: Sequence[Run]) -> list[str]:
    """Kinds of plots that *runs* have recorded the tables for."""
    return [
        kind
        for kind in KINDS
        if all(run.has(NEEDS_OF_ALL[kind]) for run in runs if kind in NEEDS_OF_ALL)
        and (kind not in NEEDS_OF_ONE or any(run.has(NEEDS_OF_ONE[kind]) for run in runs))
    ]
