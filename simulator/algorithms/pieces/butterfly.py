"""Groups of a butterfly, and averagings in them that wait for nobody."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd

from simulator.cluster import Cluster
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.cluster.partial import PartialAllReduce
from simulator.network.group import total


def butterfly(n: int, size: int) -> list[list[list[int]]]:
    """Groups of *size* ranks of successive steps, until they repeat.

    Ranks are those of a power of two of which the last may be missing.

    >>> butterfly(8, 4)[:2]
    [[[0, 1, 2, 3], [4, 5, 6, 7]], [[0, 1, 4, 5], [2, 3, 6, 7]]]
    """
    depth, width = (n - 1).bit_length(), size.bit_length() - 1
    phases = []
    for step in range(depth // gcd(width, depth) if depth else 1):
        flipped = sum({1 << (step * width + r) % depth for r in range(width)}) if depth else 0
        groups: dict[int, list[int]] = {}
        for rank in range(n):
            groups.setdefault(rank & ~flipped, []).append(rank)
        phases.append(list(groups.values()))
    return phases


def averagings(
    cluster: Cluster, newest: Sequence[Params], groups: Sequence[Sequence[int]], exchange: str
) -> dict[int, GroupAveraging]:
    """The averaging of each of *groups*, by rank."""
    made = [GroupAveraging(cluster, newest, ranks, exchange) for ranks in groups]
    return {rank: one for one in made for rank in one.ranks}


class GroupAveraging:
    """Wait-avoiding averagings of one group, one after the other.

    Parameters
    ----------
    newest
        The models that ranks contribute, by rank of the world.
    ranks
        The members.
    exchange
        Algorithm of the all-reduce.
    """

    def __init__(
        self, cluster: Cluster, newest: Sequence[Params], ranks: Sequence[int], exchange: str
    ):
        self.ranks, self._newest = list(ranks), newest
        name = f"ranks {', '.join(map(str, ranks))}"
        group = cluster.group([cluster.workers[rank] for rank in ranks], name)
        self._rounds = PartialAllReduce(
            group, self._give, lambda parts: total(iter(parts))[0], algorithm=exchange
        )
        self._entered = [0] * len(ranks)  # rounds, by place
        self._included = [-1] * len(ranks)  # the last round that had what the member entered with

    def average(self, rank: int, own: Params) -> Process:
        """The mean of the group, with *own* in it."""
        place = self.ranks.index(rank)
        number = self._entered[place]
        self._entered[place] += 1
        self._rounds.trigger(number)
        summed = yield self._rounds.over(place, number)
        if self._included[place] == number:
            return (summed / len(self.ranks)).astype(own.dtype)
        return ((summed + own) / (len(self.ranks) + 1)).astype(own.dtype)

    def _give(self, place: int, number: int) -> Params:
        if self._entered[place] > number:
            self._included[place] = number
        return self._newest[self.ranks[place]]
