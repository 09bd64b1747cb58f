"""Rings: every rank sends to its right neighbour, n-1 times; bandwidth-optimal."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.network.collectives.plan import Move, Pairs, Plan, Round, uniform


def ring_pairs(n: int) -> Pairs:
    """Every rank and its right neighbour."""
    ranks = np.arange(n)
    return Pairs(ranks, (ranks + 1) % n)


def ring_moves(n: int, reduce: bool, gather: bool) -> Iterator[list[Move]]:
    """Messages of a reduce-scatter, after which rank r owns chunk r, and of an all-gather."""

    def one(rank: int, chunk: int, adds: bool) -> Move:
        return Move(rank, (rank + 1) % n, chunk % n, chunk % n + 1, adds)

    for step in range(n - 1 if reduce else 0):
        yield [one(rank, rank - step - 1, True) for rank in range(n)]
    for step in range(n - 1 if gather else 0):
        yield [one(rank, rank - step, False) for rank in range(n)]


def _ring(n: int, nbytes: float, name: str, reduce: bool, gather: bool) -> Plan:
    steps = (n - 1) * (reduce + gather)
    rounds: tuple[Round, ...] = (uniform(ring_pairs(n), nbytes / n, steps),) if n > 1 else ()
    return Plan(name, n, rounds, None, n, lambda: ring_moves(n, reduce, gather))


def ring_all_reduce(n: int, nbytes: float) -> Plan:
    """Reduce-scatter, then all-gather, around a ring of *n* ranks: 2(n-1) rounds of nbytes/n.

    >>> plan = ring_all_reduce(4, 100.0)
    >>> plan.rounds[0].repeat, plan.nbytes
    (6, 600.0)
    """
    return _ring(n, nbytes, "ring all-reduce", True, True)


def ring_reduce_scatter(n: int, nbytes: float) -> Plan:
    """Rank r ends with chunk r of the sum over all ranks; *nbytes* is the whole payload."""
    return _ring(n, nbytes, "ring reduce-scatter", True, False)


def ring_all_gather(n: int, nbytes: float) -> Plan:
    """Every rank ends with the parts of all; *nbytes* is one rank's part."""
    return _ring(n, nbytes * n, "ring all-gather", False, True)
