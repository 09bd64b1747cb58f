"""The books of a run's outages."""

from __future__ import annotations

import math
from collections.abc import Sequence

from simulator.engine import Table


class Books:
    """One row per outage, complete when it is over."""

    def __init__(self) -> None:
        self._rows: list[list[float]] = []
        self._latest: dict[int, list[float]] = {}

    def lost(self, rank: int, now: float) -> None:
        """Worker *rank* is lost *now*."""
        self._latest[rank] = [rank, now, math.nan, 0.0]
        self._rows.append(self._latest[rank])

    def back(self, rank: int, now: float) -> None:
        """Worker *rank* works again."""
        self._latest[rank][2] = now

    def redone(self, rank: int, seconds: float) -> None:
        """Worker *rank* has done *seconds* of work again."""
        self._latest[rank][3] = seconds

    def table(self) -> Table:
        """Columns worker, lost_s, back_s (nan if it never came back) and redone_s."""
        table = Table(worker="i8", lost_s="f8", back_s="f8", redone_s="f8")
        for row in self._rows:
            table.append(table.row(*row))
        return table


def gone(ranks: Sequence[int], at: float | None) -> str:
    """That *ranks*, lost together, never came back.

    >>> gone([3], 1.5)
    'worker 3 was lost at 1.5 s and did not come back'
    """
    who, was = ("workers", "were") if len(ranks) > 1 else ("worker", "was")
    return f"{who} {', '.join(map(str, ranks))} {was} lost at {at:.6g} s and did not come back"
