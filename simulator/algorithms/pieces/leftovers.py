"""Gradients that wait for a round of a partial all-reduce that they can go into."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from simulator.cluster import Cluster
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.cluster.partial import PartialAllReduce
from simulator.engine.values import frozen
from simulator.network.group import total


class Leftovers:
    """What every rank has still to contribute, and the rounds that it goes into.

    Parameters
    ----------
    cluster
        Its workers are the ranks.
    majority
        Whether a rank drawn by lot begins a round, or the first one.
    latest
        Whether only the newest result is kept for those who are late.

    Attributes
    ----------
    pending
        Sum of the gradients that have not been contributed yet, by rank; None if there are none.
    """

    def __init__(self, cluster: Cluster, majority: bool, latest: bool):
        n = len(cluster.workers)
        self.pending: list[Params | None] = [None] * n
        self._rounds = PartialAllReduce(
            cluster.group(cluster.workers, "eager"), self._give, self._mean, self._take
        )
        self._results: list[deque[Params]] = [deque(maxlen=1 if latest else None) for _ in range(n)]
        self._latest = latest
        self._lots = cluster.streams.get("initiator") if majority else None
        self._initiators: list[int] = []

    def add(self, rank: int, grad: Params) -> None:
        """*rank* has one more gradient to contribute."""
        before = self.pending[rank]
        self.pending[rank] = grad if before is None else before + grad

    def result(self, rank: int, step: int) -> Process:
        """What *rank* gets in its own step number *step*."""
        if self._rounds.completed[rank] <= step:
            if self._lots is None or self._initiator(step) == rank:
                self._rounds.trigger(step)
            yield self._rounds.over(rank, step)
        return self._results[rank][0] if self._latest else self._results[rank].popleft()

    def _initiator(self, step: int) -> int:
        assert self._lots is not None
        while len(self._initiators) <= step:
            self._initiators.append(int(self._lots.integers(len(self.pending))))
        return self._initiators[step]

    def _give(self, rank: int, number: int) -> Params | None:
        del number  # whatever is left goes into the next round
        given, self.pending[rank] = self.pending[rank], None
        return given

    def _mean(self, parts: Sequence[Params]) -> Params:
        return frozen(total(iter(parts))[0] / len(self.pending))

    def _take(self, rank: int, result: Params) -> None:
        self._results[rank].append(result)
