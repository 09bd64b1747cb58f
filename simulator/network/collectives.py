"""Collective operations as plans: rounds of transfers between ranks, as plain data.

A plan is proved right by replaying it with sets (`Plan.moves`), priced by a cost
model, aggregated into loads on links, or played message by message.  Equal rounds
are stored once with a repeat count, so a ring over thousands of ranks is one row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Move(NamedTuple):
    """*source* sends chunks first..last-1 to *target*, who adds them or keeps them."""

    source: int
    target: int
    first: int
    last: int
    adds: bool


@dataclass(frozen=True, eq=False)
class Round:
    """Transfers that run at the same time, *repeat* times in succession."""

    source: Ints
    target: Ints
    nbytes: Floats
    repeat: int = 1


@dataclass(frozen=True, eq=False)
class Plan:
    """One collective operation.

    Attributes
    ----------
    name
        Algorithm and operation, such as ``"ring all-reduce"``.
    ranks
        How many take part.
    rounds
        Distinct rounds in order, with repeat counts.
    root
        Rank at which a rooted operation ends or begins; None if all ranks are alike.
    chunks
        Into how many pieces the payload is cut.
    moves
        Enumerates every message, round by round, for proofs and for playing.
    root_waits
        Whether the root of a broadcast stays until the others have come; if not, it hands
        its value over and goes on.
    """

    name: str
    ranks: int
    rounds: tuple[Round, ...]
    root: int | None
    chunks: int
    moves: Callable[[], Iterator[list[Move]]]
    root_waits: bool = True

    @property
    def nbytes(self) -> float:
        """Bytes of all messages together."""
        return float(sum(r.repeat * r.nbytes.sum() for r in self.rounds))


def _round(pairs: Sequence[tuple[int, int]], nbytes: float, repeat: int = 1) -> Round:
    ends = np.array(pairs, np.int64).reshape(-1, 2)
    return Round(ends[:, 0], ends[:, 1], np.full(len(ends), float(nbytes)), repeat)


def _ring_moves(n: int, reduce: bool, gather: bool) -> Iterator[list[Move]]:
    def one(rank: int, chunk: int, adds: bool) -> Move:
        return Move(rank, (rank + 1) % n, chunk % n, chunk % n + 1, adds)

    for step in range(n - 1 if reduce else 0):
        yield [one(rank, rank - step - 1, True) for rank in range(n)]
    for step in range(n - 1 if gather else 0):
        yield [one(rank, rank - step, False) for rank in range(n)]


def _ring(n: int, nbytes: float, name: str, reduce: bool, gather: bool) -> Plan:
    steps = (n - 1) * (reduce + gather)
    pairs = [(rank, (rank + 1) % n) for rank in range(n)]
    rounds = (_round(pairs, nbytes / n, steps),) if n > 1 else ()
    return Plan(name, n, rounds, None, n, lambda: _ring_moves(n, reduce, gather))


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


def _tree_pairs(n: int) -> list[list[tuple[int, int]]]:
    """Rounds of a binomial tree towards rank 0: (child, parent)."""
    rounds, gap = [], 1
    while gap < n:
        rounds.append([(rank, rank - gap) for rank in range(gap, n, 2 * gap)])
        gap *= 2
    return rounds


def _relabelled(
    rounds: list[list[tuple[int, int]]], ranks: Sequence[int]
) -> list[list[tuple[int, int]]]:
    return [[(ranks[a], ranks[b]) for a, b in pairs] for pairs in rounds]


def _whole(
    name: str,
    n: int,
    nbytes: float,
    root: int | None,
    phases: Sequence[tuple[list[list[tuple[int, int]]], bool]],
) -> Plan:
    """A plan that sends the whole payload in every message."""
    rounds = tuple(_round(pairs, nbytes) for phase, _ in phases for pairs in phase)

    def moves() -> Iterator[list[Move]]:
        for phase, adds in phases:
            for pairs in phase:
                yield [Move(a, b, 0, 1, adds) for a, b in pairs]

    return Plan(name, n, rounds, root, 1, moves)


def _turned(rounds: list[list[tuple[int, int]]]) -> list[list[tuple[int, int]]]:
    return [[(b, a) for a, b in pairs] for pairs in reversed(rounds)]


def tree_reduce(n: int, nbytes: float) -> Plan:
    """Binomial tree towards rank 0, ceil(log2 n) rounds."""
    return _whole("tree reduce", n, nbytes, 0, [(_tree_pairs(n), True)])


def tree_broadcast(n: int, nbytes: float) -> Plan:
    """Binomial tree away from rank 0."""
    return _whole("tree broadcast", n, nbytes, 0, [(_turned(_tree_pairs(n)), False)])


def tree_all_reduce(n: int, nbytes: float) -> Plan:
    """Binomial reduce to rank 0, then binomial broadcast: good for short messages."""
    pairs = _tree_pairs(n)
    return _whole("tree all-reduce", n, nbytes, None, [(pairs, True), (_turned(pairs), False)])


def star_reduce(n: int, nbytes: float) -> Plan:
    """Every rank sends to rank 0 at once."""
    pairs = [[(rank, 0) for rank in range(1, n)]] if n > 1 else []
    return _whole("star reduce", n, nbytes, 0, [(pairs, True)])


def star_broadcast(n: int, nbytes: float) -> Plan:
    """Rank 0 sends to every rank at once and does not wait for those who come late."""
    pairs = [[(0, rank) for rank in range(1, n)]] if n > 1 else []
    plan = _whole("star broadcast", n, nbytes, 0, [(pairs, False)])
    return replace(plan, root_waits=False)


def two_level_all_reduce(hosts: Sequence[Sequence[int]], nbytes: float) -> Plan:
    """Reduce inside every host, all-reduce between first ranks, broadcast inside.

    Parameters
    ----------
    hosts
        The ranks of each host; together they are 0..n-1.
    nbytes
        Payload per rank.

    Notes
    -----
    Binomial trees inside, which run on all hosts at the same time; a ring between.
    """
    n, q = sum(map(len, hosts)), len(hosts)
    trees = [_relabelled(_tree_pairs(len(ranks)), ranks) for ranks in hosts]
    depth = max(map(len, trees))
    inside = [
        [pair for tree in trees if level < len(tree) for pair in tree[level]]
        for level in range(depth)
    ]
    leaders = [ranks[0] for ranks in hosts]
    ring = [(leader, leaders[(i + 1) % q]) for i, leader in enumerate(leaders)]
    rounds = (
        [_round(pairs, nbytes) for pairs in inside]
        + ([_round(ring, nbytes / q, 2 * (q - 1))] if q > 1 else [])
        + [_round(pairs, nbytes) for pairs in _turned(inside)]
    )

    def moves() -> Iterator[list[Move]]:
        for pairs in inside:
            yield [Move(a, b, 0, q, True) for a, b in pairs]
        for step in _ring_moves(q, True, True):
            yield [m._replace(source=leaders[m.source], target=leaders[m.target]) for m in step]
        for pairs in _turned(inside):
            yield [Move(a, b, 0, q, False) for a, b in pairs]

    return Plan("two-level all-reduce", n, tuple(rounds), None, q, moves)


AllReduce = Callable[[Sequence[Sequence[int]], float], Plan]

ALL_REDUCE: dict[str, AllReduce] = {
    "ring": lambda hosts, nbytes: ring_all_reduce(sum(map(len, hosts)), nbytes),
    "tree": lambda hosts, nbytes: tree_all_reduce(sum(map(len, hosts)), nbytes),
    "two-level": two_level_all_reduce,
}
REDUCE = {"star": star_reduce, "tree": tree_reduce}
BROADCAST = {"star": star_broadcast, "tree": tree_broadcast}
