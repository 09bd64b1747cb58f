"""Who talks to whom in gossip: neighbours on a graph, hops of a round, halves of a pairing."""

from __future__ import annotations

from itertools import chain
from typing import Literal

Neighbourhood = Literal["ring", "torus", "exponential", "complete"]


def neighbours(graph: Neighbourhood, rank: int, n: int) -> list[int]:
    """The ranks that *rank* is linked with, in order; every rank has equally many.

    A torus is as square as the number of ranks allows, the exponential graph links ranks
    1, 2, 4, ... apart.

    >>> neighbours("ring", 0, 6), neighbours("torus", 0, 6), neighbours("exponential", 0, 6)
    ([1, 5], [1, 2, 3], [1, 2, 4, 5])
    """
    if graph == "complete":
        return [other for other in range(n) if other != rank]
    if graph == "torus":
        rows = max(r for r in range(1, int(n**0.5) + 1) if n % r == 0)
        columns = n // rows
        row, column = divmod(rank, columns)
        around = [
            (row, column + 1),
            (row, column - 1),
            (row + 1, column),
            (row - 1, column),
        ]
        found = {r % rows * columns + c % columns for r, c in around}
    else:
        strides = [1] if graph == "ring" else powers(n)
        found = {(rank + way * stride) % n for stride in strides for way in (1, -1)}
    return sorted(found - {rank})


def powers(n: int) -> list[int]:
    """1, 2, 4, ... below *n*.

    >>> powers(6), powers(1)
    ([1, 2, 4], [])
    """
    return [1 << k for k in range((n - 1).bit_length())]


def hops(n: int, backwards: bool) -> list[int]:
    """Distances to the one peer of successive rounds on the directed exponential graph.

    Forward hops alone give the exact mean of 2^j ranks after j rounds.

    >>> hops(8, False), hops(8, True)
    ([1, 2, 4], [1, 7, 2, 6, 4])
    """
    both = chain.from_iterable((hop, n - hop) if backwards else (hop,) for hop in powers(n))
    return list(dict.fromkeys(both))
