"""SSP: stale synchronous parallel; nobody is more than s clocks ahead of the slowest.

Ho et al., More Effective Distributed ML via a Stale Synchronous Parallel Parameter Server,
NIPS 2013; the standard rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt
from simpy.events import Event

from simulator.algorithms.base import Needs, Specification, register
from simulator.cluster import Cluster, Server, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.cluster.server import Reply


@register("ssp")
@dataclass(frozen=True)
class SSP:
    """An asynchronous server that lets nobody get more than `slack` clocks ahead.

    ::

        worker i at clock t:  wait until all clocks >= t - s
                              read w, unless a copy holds all updates tagged <= t - s - 1
                              push -rate * grad(w, batch_i), tagged t
        server:               w = w + what was pushed        in order of arrival

    A worker's own updates are always in its copy.  s = 0 is bulk-synchronous.

    Parameters
    ----------
    slack
        Clocks that a worker may be ahead (s).
    rate_scale
        Learning rate as a multiple of the scenario's; by default 1 / N, since the changes
        of N workers add up.
    """

    slack: Annotated[int, Ge(0)] = 3
    rate_scale: Annotated[float, Gt(0)] | None = None

    needs: ClassVar[Needs] = Needs(servers=1, optimizer=frozenset({"weight_decay"}), timed=True)
    paper: ClassVar[str] = "Ho et al., NIPS 2013"
    specification: ClassVar[Specification] = "reconstruction"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        clocks = Clocks(cluster.server(), len(cluster.workers))
        scale = 1 / len(cluster.workers) if self.rate_scale is None else self.rate_scale
        for worker in cluster.workers:
            yield self.replica(worker, clocks, scale)

    def replica(self, worker: Worker, clocks: Clocks, scale: float) -> Process:
        (params, state), age = worker.start(), 0  # the copy holds all updates tagged < age
        for step in worker.steps():
            if age < step - self.slack:
                params, age = yield clocks.read(worker, step - self.slack)
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            staleness = yield clocks.push(worker, scale * change)
            params = worker.apply(params, scale * change)
            worker.finish_step(step, params, loss, staleness)


class Clocks:
    """A server that counts the updates of every worker, and keeps readers waiting.

    Parameters
    ----------
    server
        The value.
    workers
        How many there are.
    """

    def __init__(self, server: Server, workers: int):
        self._server, self._clocks = server, [0] * workers
        self._waiting: list[tuple[int, Worker, Reply]] = []

    def push(self, worker: Worker, change: Params) -> Event:
        """Event that fires with the update's staleness when it has been acknowledged."""
        return self._server.ask(worker, partial(self._tick, worker, change), down=0.0)

    def read(self, worker: Worker, wanted: int) -> Event:
        """Event whose value is (parameters, the slowest clock), once that is *wanted*."""
        return self._server.ask(worker, partial(self._serve, wanted, worker), up=0.0)

    def _tick(self, worker: Worker, change: Params, reply: Reply) -> None:
        reply(self._server.count(worker, change))
        self._clocks[worker.rank] += 1
        waiting, self._waiting = self._waiting, []
        for request in waiting:
            self._serve(*request)

    def _serve(self, wanted: int, worker: Worker, reply: Reply) -> None:
        slowest = min(self._clocks)
        if slowest >= wanted:
            reply((self._server.value(worker), slowest))
        else:
            self._waiting.append((wanted, worker, reply))
