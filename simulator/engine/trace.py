"""What happened: append-only tables, one per kind of fact.  Times in s, sizes in B."""

from __future__ import annotations

from collections.abc import Callable
from struct import Struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPAN_KINDS = ("compute", "io", "communication", "idle")
LANES = ("worker", "loader", "communicator", "overlap")


class Table:
    """Append-only rows of numbers, handed out as columns.

    A row is entered as the bytes of its numbers: millions of rows take 8 bytes a number,
    and no Python objects.

    Parameters
    ----------
    columns
        Name and numpy dtype of each column.

    Attributes
    ----------
    row
        Makes a row of its numbers; `struct.error` if there are too few or too many.
    append
        Takes one row.

    >>> steps = Table(worker="i8", end_s="f8")
    >>> steps.append(steps.row(0, 0.25))
    >>> {name: column.tolist() for name, column in steps.columns().items()}
    {'worker': [0], 'end_s': [0.25]}
    """

    def __init__(self, **columns: str):
        self._dtypes = columns
        self._bytes = bytearray()
        self.row: Callable[..., bytes] = Struct(f"{len(columns)}d").pack
        self.append: Callable[[bytes], None] = self._bytes.extend

    def __len__(self) -> int:
        return len(self._bytes) // (8 * len(self._dtypes))

    def change_last(self, match: dict[str, float], column: str, value: float) -> None:
        """Enter *value* into *column* of the last row that agrees with *match*.

        >>> spans = Table(worker="i8", end_s="f8")
        >>> spans.append(spans.row(0, 2.0)), spans.append(spans.row(1, 3.0))
        (None, None)
        >>> spans.change_last({"worker": 0}, "end_s", 1.5)
        >>> spans.columns()["end_s"].tolist()
        [1.5, 3.0]
        """
        names = list(self._dtypes)
        rows = np.frombuffer(self._bytes).reshape(-1, len(names))
        agree = np.ones(len(rows), bool)
        for name, wanted in match.items():
            agree &= rows[:, names.index(name)] == wanted
        rows[np.flatnonzero(agree)[-1], names.index(column)] = value

    def columns(self) -> dict[str, NDArray[Any]]:
        """All rows as one array per column."""
        rows = np.frombuffer(self._bytes).reshape(-1, len(self._dtypes))
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
