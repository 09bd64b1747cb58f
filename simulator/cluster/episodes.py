"""Episodes: times in which a worker computes more slowly, or not at all."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator

Episode = tuple[float, float, float]  # begin and end (s), how many times as long work takes


class Pace:
    """How fast one worker computes over time.

    Parameters
    ----------
    sequences
        Each gives episodes in order of time which do not overlap; where those of
        several sequences do, their factors are multiplied.

    >>> pace = Pace([[(1.0, 3.0, 2.0)], [(2.0, 4.0, math.inf)]])
    >>> pace.end(0.0, 1.25)         # 1 s, half speed for a second, nothing until 4
    1.5
    >>> pace.end(1.5, 0.5)
    4.25
    """

    def __init__(self, sequences: Iterable[Iterable[Episode]]):
        self._sequences = [iter(sequence) for sequence in sequences]
        # Known so far, and not over when somebody last began: work may be begun anew.
        self._known = [deque([next(sequence, NEVER)]) for sequence in self._sequences]

    def end(self, start: float, seconds: float) -> float:
        """When work of *seconds* at full speed is done that begins at *start*.

        Starts must not go back in time.
        """
        for known in self._known:
            while len(known) > 1 and known[0][1] <= start:
                known.popleft()
        now, left = start, seconds
        while True:
            factor, change = self._at(now)
            if now + left * factor <= change or not left:
                return now + left * factor if left else now
            left -= (change - now) / factor
            now = change

    def _at(self, now: float) -> tuple[float, float]:
        """Factor at *now*, and when it changes."""
        factor, change = 1.0, math.inf
        for known, sequence in zip(self._known, self._sequences, strict=True):
            while known[-1][1] <= now:
                known.append(next(sequence, NEVER))
            begin, end, slower = next(episode for episode in known if episode[1] > now)
            if begin <= now:
                factor, change = factor * slower, min(change, end)
            else:
                change = min(change, begin)
        return factor, change


NEVER: Episode = (math.inf, math.inf, 1.0)


def repeated(first: float, period: float, duration: float, factor: float) -> Iterator[Episode]:
    """An episode of *duration* every *period*, the first at *first*."""
    count = 0
    while True:
        begin = first + count * period
        yield begin, begin + duration, factor
        count += 1
