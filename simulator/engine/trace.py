"""What happened: append-only tables, one per kind of fact.  Times in s, sizes in B."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPAN_KINDS = ("compute", "io", "communication", "idle")
LANES = ("worker", "loader", "communicator", "server", "overlap")


class Table:
    """Append-only rows of numbers, handed out as columns.

    Rows are collected as tuples, the cheapest thing to append in Python; `pack`, called
    now and then, keeps long runs small.

    Parameters
    ----------
    columns
        Name and numpy dtype of each column.

    >>> steps = Table(worker="i8", end_s="f8")
    >>> steps.append((0, 0.25))
    >>> {name: column.tolist() for name, column in steps.columns().items()}
    {'worker': [0], 'end_s': [0.25]}
    """

    def __init__(self, **columns: str):
        self._dtypes = columns
        self._rows: list[tuple[Any, ...]] = []
        self._blocks: list[list[NDArray[Any]]] = []
        self.append: Callable[[tuple[Any, ...]], None] = self._rows.append

    def __len__(self) -> int:
        return len(self._rows) + sum(len(block[0]) for block in self._blocks)

    def pack(self) -> None:
        """Turn the rows collected so far into arrays, a fifth of the size."""
        if self._rows:
            columns = zip(*self._rows, strict=True)
            self._blocks.append(
                [
                    np.array(column, dtype)
                    for column, dtype in zip(columns, self._dtypes.values(), strict=True)
                ]
            )
            self._rows.clear()

    def columns(self) -> dict[str, NDArray[Any]]:
        """All rows as one array per column."""
        self.pack()
        if not self._blocks:
            return {name: np.array([], dtype) for name, dtype in self._dtypes.items()}
        return {
            name: np.concatenate([block[i] for block in self._blocks])
            for i, name in enumerate(self._dtypes)
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
