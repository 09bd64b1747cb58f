"""What happened: append-only tables, one per kind of fact.  Times in s, sizes in B."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPAN_KINDS = ("compute", "io", "communication", "idle")
LANES = ("worker", "loader", "communicator", "overlap")


class Table:
    """Append-only rows of numbers, handed out as columns.

    The numbers of all rows follow each other in one list, the cheapest thing to append to
    in Python; `pack`, called now and then, turns them into arrays a fifth of the size.

    Parameters
    ----------
    columns
        Name and numpy dtype of each column.

    Attributes
    ----------
    append
        Takes one row as a tuple.

    >>> steps = Table(worker="i8", end_s="f8")
    >>> steps.append((0, 0.25))
    >>> {name: column.tolist() for name, column in steps.columns().items()}
    {'worker': [0], 'end_s': [0.25]}
    """

    def __init__(self, **columns: str):
        self._dtypes = columns
        self._numbers: list[float] = []
        self._blocks: list[NDArray[np.float64]] = []
        self.append: Callable[[tuple[float, ...]], None] = self._numbers.extend

    def __len__(self) -> int:
        return len(self._numbers) // len(self._dtypes) + sum(map(len, self._blocks))

    def pack(self) -> None:
        """Turn the rows collected so far into an array.

        Raises
        ------
        ValueError
            If a row had too few or too many numbers.
        """
        if self._numbers:
            self._blocks.append(np.array(self._numbers, float).reshape(-1, len(self._dtypes)))
            self._numbers.clear()

    def columns(self) -> dict[str, NDArray[Any]]:
        """All rows as one array per column."""
        self.pack()
        rows = np.concatenate(self._blocks or [np.empty((0, len(self._dtypes)))])
        return {
            name: rows[:, i].astype(dtype) for i, (name, dtype) in enumerate(self._dtypes.items())
        }


class Trace:
    """The tables of one run.

    `spans` and `messages` hold codes where the result has names: the position of a
    lane in `LANES`, of a kind in `SPAN_KINDS`, of a carrier in the network's list.
    A missing value (a loss or staleness that does not exist) is nan.
    """

    def __init__(self) -> None:
        self.steps = Table(
            worker="i8", step="i8", start_s="f8", end_s="f8", loss="f8", staleness="f8"
        )
        self.spans = Table(worker="i8", lane="i1", kind="i1", start_s="f8", end_s="f8")
        self.messages = Table(carrier="i8", kind="i1", nbytes="f8", start_s="f8", end_s="f8")
        self.evaluations = Table(
            time_s="f8",
            samples="i8",
            step="i8",
            train_loss="f8",
            test_loss="f8",
            test_accuracy="f8",
        )

    def pack(self) -> None:
        """Pack all tables."""
        for table in (self.steps, self.spans, self.messages):
            table.pack()
