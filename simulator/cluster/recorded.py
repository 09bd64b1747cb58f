"""What was recorded of real workers: numbers by worker and step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from simulator.cluster.layout import misnumbered
from simulator.columns import cell, located, read_rows
from simulator.errors import DataError

Recorded = Mapping[int, NDArray[np.float64]]  # worker -> value of every step, from 0 on


@runtime_checkable
class NeedsFile(Protocol):
    """A setting whose file is read when it is used: `check_file` raises DataError if it cannot."""

    def check_file(self) -> None: ...


def read_recorded(path: str, column: str, workers: int) -> Recorded:
    """Values by worker and step of a CSV file with columns worker, step and *column*.

    Raises
    ------
    DataError
        If the file cannot be read, a step is missing or there twice, or a worker is not
        one of *workers*.
    """
    rows: dict[int, dict[int, float]] = {}
    for row in read_rows(path, ["worker", "step", column]):
        worker, step = int(cell(path, row, "worker", int)), int(cell(path, row, "step", int))
        if problem := misnumbered([worker], workers, "worker"):
            raise located(path, row[0], problem)
        if step in rows.setdefault(worker, {}):
            raise located(path, row[0], f"worker {worker} has step {step} twice")
        rows[worker][step] = cell(path, row, column, float)
    for worker, steps in rows.items():
        for step in range(len(steps)):
            if step not in steps:
                raise DataError(
                    f"{path}: worker {worker} has no step {step}, but step {max(steps)}; "
                    "a record needs every step from 0 on"
                )
    return {
        worker: np.array([steps[t] for t in range(len(steps))]) for worker, steps in rows.items()
    }


def read_values(path: str, column: str) -> NDArray[np.float64]:
    """All numbers in *column* of a CSV file.

    Raises
    ------
    DataError
        If the file cannot be read, or says nothing but zeros.
    """
    values = np.array([cell(path, row, column, float) for row in read_rows(path, [column])])
    if not values.sum() > 0:
        raise DataError(f"{path}: column {column} has nothing above 0")
    return values
