"""Servers that work in rounds: they wait for contributions and answer everybody."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from simpy.events import NORMAL, Event

from simulator.engine import Composite, when_over

if TYPE_CHECKING:
    from simulator.cluster.cluster import Cluster
    from simulator.cluster.worker import Worker


class News(NamedTuple):
    """An answer that has reached a worker.

    Attributes
    ----------
    rounds
        That are over.
    value
        What the server made of it.
    """

    rounds: int
    value: Any


class Rounds:
    """One node that collects what workers submit, round by round, and answers all of them.

    Round n is over when enough contributions to it have arrived; it is combined in rank order,
    and what comes of it is sent to every worker.  What arrives later is dropped.

    Parameters
    ----------
    cluster
        Where it runs.
    node
        Its place.
    combine
        ``combine(parts)``: the answer made of the contributions, in rank order.
    wanted
        Contributions that make a round complete; fewer if fewer workers are left.
    answer
        Bytes of an answer, B.
    seconds
        That the server computes before it answers.

    Attributes
    ----------
    node
        As given.
    """

    def __init__(
        self,
        cluster: Cluster,
        node: str,
        combine: Callable[[list[Any]], Any],
        wanted: int,
        answer: float,
        seconds: float = 0.0,
    ):
        self._cluster, self.node, self._combine = cluster, node, combine
        self._wanted, self._nbytes, self._seconds = wanted, answer, seconds
        self._number = 0  # of the open round
        self._parts: dict[int, Any] = {}
        self._taken: dict[int, int] = {}  # the last round that has a part of a rank
        self._members = dict.fromkeys(range(len(cluster.workers)))
        self._newest: dict[int, News] = {}
        self._waits: dict[int, tuple[int, Composite]] = {}
        self._pushes: dict[int, Event] = {}

    def submit(self, worker: Worker, number: int, value: Any, nbytes: float) -> None:
        """Send a contribution to round *number*."""
        transfer = self._cluster.network.send(worker.node, self.node, nbytes, "push")
        self._pushes[worker.rank] = transfer
        arrive = partial(self._arrive, worker.rank, number, value)
        when_over(transfer, arrive)

    def news(self, worker: Worker, number: int) -> Event:
        """Event that fires with the `News` of round *number*, or of a later one."""
        newest = self._newest.get(worker.rank)
        wait = Composite(self._cluster.env, f"the server's answer to round {number}")
        if newest is not None and newest.rounds > number:
            wait.fire(newest)
            return wait
        self._waits[worker.rank] = number, wait
        pushed = self._pushes.get(worker.rank)
        if pushed is not None and pushed.callbacks is not None:
            wait.parts = (pushed,)
        return wait

    def took(self, worker: Worker, number: int) -> bool:
        """Is what *worker* submitted part of round *number*, which is over?"""
        return self._taken.get(worker.rank) == number

    def leave(self, worker: Worker) -> None:
        """*worker* contributes nothing more."""
        if worker.rank in self._members:
            del self._members[worker.rank]
            self._go_on()

    def _arrive(self, rank: int, number: int, value: Any) -> None:
        if number != self._number:
            return
        self._parts[rank] = value
        self._taken[rank] = number
        self._go_on()

    def _go_on(self) -> None:
        """End the open round if all that it waits for is there."""
        if not self._parts or len(self._parts) < min(self._wanted, len(self._members)):
            return
        parts = [self._parts[rank] for rank in sorted(self._parts)]
        self._number += 1
        news, self._parts = News(self._number, self._combine(parts)), {}
        if self._seconds:
            env = self._cluster.env
            env.at(env.now + self._seconds, NORMAL, partial(self._answer_all, news))
        else:
            self._answer_all(news)

    def _answer_all(self, news: News) -> None:
        for rank in list(self._members):
            self._answer(rank, news)

    def _answer(self, rank: int, news: News) -> None:
        target = self._cluster.workers[rank].node
        transfer = self._cluster.network.send(self.node, target, self._nbytes, "pull")
        waiting = self._waits.get(rank)
        if waiting is not None and waiting[0] < news.rounds:
            waiting[1].parts = (*waiting[1].parts, transfer)
        when_over(transfer, partial(self._deliver, rank, news))

    def _deliver(self, rank: int, news: News) -> None:
        newest = self._newest.get(rank)
        if newest is None or newest.rounds < news.rounds:
            self._newest[rank] = news
        number, wait = self._waits.get(rank, (0, None))
        if wait is not None and number < news.rounds:
            del self._waits[rank]
            wait.fire(news)
