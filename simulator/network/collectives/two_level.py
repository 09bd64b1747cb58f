"""Two levels: inside every host, then between hosts, then inside again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from simulator.network.collectives.plan import Move, Pairs, Plan, uniform
from simulator.network.collectives.rings import ring_moves, ring_pairs
from simulator.network.collectives.trees import tree_levels, turned


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
    inside = _inside(hosts)
    leaders = np.array([ranks[0] for ranks in hosts])
    ring = ring_pairs(q)
    between = Pairs(leaders[ring.source], leaders[ring.target])
    rounds = (
        [uniform(pairs, nbytes) for pairs in inside]
        + ([uniform(between, nbytes / q, 2 * (q - 1))] if q > 1 else [])
        + [uniform(pairs, nbytes) for pairs in turned(inside)]
    )

    def moves() -> Iterator[list[Move]]:
        for phase, adds in ((inside, True), (turned(inside), False)):
            for pairs in phase:
                ends = zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)
                yield [Move(a, b, 0, q, adds) for a, b in ends]
            if adds:
                for step in ring_moves(q, True, True):
                    yield [
                        m._replace(source=int(leaders[m.source]), target=int(leaders[m.target]))
                        for m in step
                    ]

    return Plan("two-level all-reduce", n, tuple(rounds), None, q, moves)


def _inside(hosts: Sequence[Sequence[int]]) -> list[Pairs]:
    """Rounds of the binomial trees of all hosts, towards the first rank of each."""
    of_size = {size: tree_levels(size) for size in dict.fromkeys(map(len, hosts))}
    rounds = []
    for level in range(max(map(len, of_size.values()))):
        ends = [
            np.asarray(ranks)[np.stack((pairs.source, pairs.target))]
            for ranks in hosts
            for pairs in of_size[len(ranks)][level : level + 1]
        ]
        together = np.concatenate(ends, axis=1)
        rounds.append(Pairs(together[0], together[1]))
    return rounds
