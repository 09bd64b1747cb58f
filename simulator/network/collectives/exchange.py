"""Gather, scatter and all-to-all: every part has its own way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np

from simulator.network.collectives.plan import Move, Pairs, Plan, Round, Transfers, uniform
from simulator.network.collectives.trees import star_pairs, tree_levels, turned


def star_gather(n: int, nbytes: float) -> Plan:
    """Rank 0 ends with the parts of all, of *nbytes* each; all send at once."""

    def moves() -> Iterator[list[Move]]:
        if n > 1:
            yield [Move(rank, 0, rank, rank + 1, False) for rank in range(1, n)]

    rounds = tuple(uniform(pairs, nbytes) for pairs in star_pairs(n))
    return Plan("star gather", n, rounds, 0, n, moves)


def star_scatter(n: int, nbytes: float) -> Plan:
    """Every rank ends with its own part, of *nbytes*, of what rank 0 has; all at once."""

    def moves() -> Iterator[list[Move]]:
        if n > 1:
            yield [Move(0, rank, rank, rank + 1, False) for rank in range(1, n)]

    rounds = tuple(uniform(pairs, nbytes) for pairs in turned(star_pairs(n)))
    return Plan("star scatter", n, rounds, 0, n, moves)


def _tree(name: str, n: int, nbytes: float, upwards: bool) -> Plan:
    """A binomial tree in which a child stands for the ranks below it too."""
    levels = tree_levels(n) if upwards else turned(tree_levels(n))

    def below(child: int) -> int:
        """Ranks in the subtree of *child*, which are consecutive."""
        return min(child & -child, n - child)

    def moves() -> Iterator[list[Move]]:
        for pairs in levels:
            ends = zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)
            yield [Move(a, b, max(a, b), max(a, b) + below(max(a, b)), False) for a, b in ends]

    rounds = []
    for pairs in levels:
        counts = np.array([below(child) for child in np.maximum(pairs.source, pairs.target)])
        rounds.append(
            Round(
                tuple(
                    Transfers(
                        Pairs(pairs.source[counts == count], pairs.target[counts == count]),
                        nbytes * count,
                    )
                    for count in np.unique(counts).tolist()
                )
            )
        )
    return Plan(name, n, tuple(rounds), 0, n, moves)


def tree_gather(n: int, nbytes: float) -> Plan:
    """Gather along a binomial tree: fewer, larger messages."""
    return _tree("tree gather", n, nbytes, True)


def tree_scatter(n: int, nbytes: float) -> Plan:
    """Scatter along a binomial tree."""
    return _tree("tree scatter", n, nbytes, False)


class Shifts(Sequence[Round]):
    """Rounds 1..n-1 in which rank i sends to rank i + shift, made when they are asked for.

    For thousands of ranks all of them together would not fit into memory.
    """

    def __init__(self, n: int, nbytes: float):
        self._n, self._nbytes = n, nbytes

    def __len__(self) -> int:
        return self._n - 1

    @overload
    def __getitem__(self, at: int) -> Round: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[Round]: ...

    def __getitem__(self, at: int | slice) -> Round | Sequence[Round]:
        if isinstance(at, slice):
            return [self[i] for i in range(*at.indices(len(self)))]
        if not 0 <= at < len(self):
            raise IndexError(at)
        ranks = np.arange(self._n)
        return uniform(Pairs(ranks, (ranks + at + 1) % self._n), self._nbytes)


def pairwise_all_to_all(n: int, nbytes: float) -> Plan:
    """Every rank sends a part of nbytes/n to every other, one partner per round."""

    def moves() -> Iterator[list[Move]]:
        for shift in range(1, n):
            yield [_part(n, rank, (rank + shift) % n) for rank in range(n)]

    return Plan("pairwise all-to-all", n, Shifts(n, nbytes / n), None, n * n, moves)


def _part(n: int, source: int, target: int) -> Move:
    """The part of *source* that is meant for *target*."""
    return Move(source, target, source * n + target, source * n + target + 1, False)


def pairwise_reduce_scatter(n: int, nbytes: float) -> Plan:
    """Every rank sends every other its part, one partner per round; *nbytes* in all."""

    def moves() -> Iterator[list[Move]]:
        for shift in range(1, n):
            ends = [(rank, (rank + shift) % n) for rank in range(n)]
            yield [Move(a, b, b, b + 1, True) for a, b in ends]

    return Plan("pairwise reduce-scatter", n, Shifts(n, nbytes / n), None, n, moves)
