"""Stars and trees: rooted operations, and all-reduces by way of a root."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from simulator.network.collectives.plan import (
    Ints,
    Move,
    Pairs,
    Plan,
    Round,
    Transfers,
    uniform,
)

PIECE = 2.0**20  # B; a double binary tree is pipelined in pieces of about this size
MOST_PIECES = 64
Phase = tuple[Sequence[Pairs], bool]  # rounds, and whether the receiver adds


def tree_levels(n: int) -> list[Pairs]:
    """Rounds of a binomial tree towards rank 0: (child, parent)."""
    levels, gap = [], 1
    while gap < n:
        children = np.arange(gap, n, 2 * gap)
        levels.append(Pairs(children, children - gap))
        gap *= 2
    return levels


def turned(levels: Sequence[Pairs]) -> list[Pairs]:
    """The same tree away from its root."""
    return [pairs.turned() for pairs in reversed(levels)]


def whole(name: str, n: int, nbytes: float, root: int | None, phases: Sequence[Phase]) -> Plan:
    """A plan that sends the whole payload in every message."""
    rounds = tuple(uniform(pairs, nbytes) for phase, _ in phases for pairs in phase)

    def moves() -> Iterator[list[Move]]:
        for phase, adds in phases:
            for pairs in phase:
                ends = zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)
                yield [Move(a, b, 0, 1, adds) for a, b in ends]

    return Plan(name, n, rounds, root, 1, moves)


def tree_reduce(n: int, nbytes: float) -> Plan:
    """Binomial tree towards rank 0, ceil(log2 n) rounds."""
    return whole("tree reduce", n, nbytes, 0, [(tree_levels(n), True)])


def tree_broadcast(n: int, nbytes: float) -> Plan:
    """Binomial tree away from rank 0."""
    return whole("tree broadcast", n, nbytes, 0, [(turned(tree_levels(n)), False)])


def tree_all_reduce(n: int, nbytes: float) -> Plan:
    """Binomial reduce to rank 0, then binomial broadcast: good for short messages."""
    levels = tree_levels(n)
    return whole("tree all-reduce", n, nbytes, None, [(levels, True), (turned(levels), False)])


def star_pairs(n: int) -> list[Pairs]:
    """Everybody else and rank 0, in one round."""
    return [Pairs(np.arange(1, n), np.zeros(n - 1, np.int64))] if n > 1 else []


def star_reduce(n: int, nbytes: float) -> Plan:
    """Every rank sends to rank 0 at once."""
    return whole("star reduce", n, nbytes, 0, [(star_pairs(n), True)])


def star_broadcast(n: int, nbytes: float) -> Plan:
    """Rank 0 sends to every rank at once and does not wait for those who come late."""
    plan = whole("star broadcast", n, nbytes, 0, [(turned(star_pairs(n)), False)])
    return replace(plan, root_waits=False)


def binary_parents(n: int) -> Ints:
    """Parent of every rank in a binary tree in order, rank 0 at the top; -1 for rank 0.

    Odd ranks are leaves.  The parent of rank r, whose lowest set bit is b, has b cleared
    and 2b set, or only b cleared where that would be no rank.

    >>> binary_parents(6).tolist()
    [-1, 2, 4, 2, 0, 4]
    """
    ranks = np.arange(n)
    lowest = ranks & -ranks
    parents = (ranks ^ lowest) | (lowest << 1)
    parents = np.where(parents >= n, ranks ^ lowest, parents)
    return np.where(ranks == 0, -1, parents)


def _by_depth(n: int) -> list[Pairs]:
    """(child, parent) of the binary tree, by the depth of the child, from 1 on."""
    parents, depth = binary_parents(n), np.zeros(n, np.int64)
    at, steps = parents.copy(), 0
    while (at >= 0).any():
        steps += 1
        depth[at >= 0] = steps
        at = np.where(at >= 0, parents[at], -1)
    children = [np.flatnonzero(depth == d) for d in range(1, steps + 1)]
    return [Pairs(ranks, parents[ranks]) for ranks in children]


def double_tree_all_reduce(n: int, nbytes: float) -> Plan:
    """Two binary trees, each with half of the payload, pipelined in pieces.

    A leaf of one tree is an inner node of the other, so that both directions of every
    link are used (Sanders, Speck and Traff, "Two-tree algorithms for full bandwidth
    broadcast, reduction and scan", Parallel Computing 35, 2009; the second tree is the
    first one mirrored, or shifted by a rank where n is odd, as in NCCL).  A node at depth
    d sends piece j upwards in round j + D - d and downwards in round j + D + d, where D
    is the depth of the tree.
    """
    pieces = int(min(MOST_PIECES, max(1, round(nbytes / 2 / PIECE))))
    first = _by_depth(n)
    labels = np.arange(n)[::-1] if n % 2 == 0 else (np.arange(n) + 1) % n
    second = [Pairs(labels[pairs.source], labels[pairs.target]) for pairs in first]
    trees, deepest = (first, second), len(first)
    back = [[pairs.turned() for pairs in tree] for tree in trees]

    def active(number: int) -> tuple[list[int], list[int]]:
        """Depths of the children that send upwards, and that receive from above."""
        up = [d for d in range(1, deepest + 1) if 0 <= number - deepest + d < pieces]
        down = [d for d in range(1, deepest + 1) if 0 <= number - deepest - d + 1 < pieces]
        return up, down

    def moves() -> Iterator[list[Move]]:
        for number in range(_rounds(pieces, deepest)):
            up, down = active(number)
            step = []
            for shift, tree in zip((0, pieces), trees, strict=True):
                for depths, upwards in ((up, True), (down, False)):
                    for d in depths:
                        piece = shift + number - deepest + (d if upwards else 1 - d)
                        pairs = tree[d - 1] if upwards else tree[d - 1].turned()
                        ends = zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)
                        step += [Move(a, b, piece, piece + 1, upwards) for a, b in ends]
            yield step

    size = nbytes / 2 / pieces
    rounds = []
    for (up, down), same in groupby(map(active, range(_rounds(pieces, deepest)))):
        parts = [tree[d - 1] for tree in trees for d in up]
        parts += [tree[d - 1] for tree in back for d in down]
        rounds.append(Round(tuple(Transfers(pairs, size) for pairs in parts), len(list(same))))
    return Plan("double-tree all-reduce", n, tuple(rounds), None, 2 * pieces, moves)


def _rounds(pieces: int, deepest: int) -> int:
    return pieces - 1 + 2 * deepest if deepest else 0
