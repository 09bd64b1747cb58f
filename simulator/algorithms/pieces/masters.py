"""Models of whole hosts, which their workers change, and masters that average them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import simpy
from simpy.events import NORMAL

from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.cluster.partial import PartialAllReduce
from simulator.cluster.server import Reply
from simulator.network.group import mean_of


class HostModel:
    """The model of a host; every exchange adds an update and returns the model.

    Parameters
    ----------
    cluster
        What it is part of.
    members
        The workers that change it.
    serial
        Whether exchanges are one after the other, or all at once.
    common
        Whether the model has one optimiser state, or every worker its own.

    Attributes
    ----------
    updates
        How many it has had.
    """

    def __init__(self, cluster: Cluster, members: Sequence[Worker], serial: bool, common: bool):
        self._env = cluster.env
        self.server = cluster.server([cluster.host_of(members[0])])
        self.updates = 0
        self.changed: Callable[[], None] = lambda: None
        self._turn = simpy.Resource(cluster.env) if serial else None
        self._common = common
        self._states = dict.fromkeys([None, *(one.rank for one in members)], cluster.job.state)

    def exchange(self, worker: Worker, step: int, grad: Params) -> Process:
        """Give the gradient of the worker's own *step*, get (parameters, staleness)."""
        answer = partial(self._update, worker, step, grad)
        if self._turn is None:
            return (yield self.server.ask(worker, answer))
        with self._turn.request() as turn:
            yield turn
            return (yield self.server.ask(worker, answer))

    def _update(self, worker: Worker, step: int, grad: Params, reply: Reply) -> None:
        owner = None if self._common else worker.rank
        state = worker.at_step(self._states[owner], step)
        change, self._states[owner] = worker.update(self.server.params, grad, state)
        self.updates += 1
        _, staleness = self.server.add(worker, change)
        self.changed()
        # What is read is the model after all that happens at this instant.
        self._env.after_instant(lambda: reply((self.server.value(worker), staleness)))


class Masters:
    """One process per host, which all-reduce their hosts' models while workers go on.

    Parameters
    ----------
    cluster
        What they are part of.
    hosts
        The models.
    merged
        ``merged(params, snapshot, mean)``: what a model moves by when the mean is there.
    due
        ``due(updates, seconds)``: seconds until an averaging begins, after so many updates of
        some model since it was last averaged, and so long after the last one began.
    """

    def __init__(
        self,
        cluster: Cluster,
        hosts: Sequence[HostModel],
        merged: Callable[[Params, Params, Params], Params],
        due: Callable[[int, float], float],
    ):
        self._env, self._hosts, self._merged, self._due = cluster.env, hosts, merged, due
        group = cluster.group([host.server for host in hosts], "masters")
        self._rounds = PartialAllReduce(group, self._give, _mean, self._take)
        self._given: list[tuple[Params, int]] = [(host.server.params, 0) for host in hosts]
        self._begun = self._wake = 0.0
        self._looks = False
        for host in hosts:
            host.changed = self._look_soon

    def _look_soon(self) -> None:
        """Look when all updates of this instant have been made."""
        if not self._looks:
            self._looks = True
            self._env.after_instant(self._look)

    def _look(self) -> None:
        """Begin an averaging if it is time, or come back when it is."""
        self._looks = False
        if self._rounds.under_way:
            return
        learned = zip(self._hosts, self._given, strict=True)
        updates = max(host.updates - given for host, (_, given) in learned)
        now = self._env.now
        wait = self._due(updates, now - self._begun) if updates else math.inf
        if now + wait == now:
            self._begun = now
            self._rounds.trigger(self._rounds.begun)
        elif wait < math.inf and self._wake <= now:
            self._wake = now + wait
            self._env.at(self._wake, NORMAL, self._look)

    def _give(self, rank: int, number: int) -> Params:
        del number
        host = self._hosts[rank]
        self._given[rank] = host.server.params, host.updates
        return host.server.params

    def _take(self, rank: int, mean: Params) -> None:
        params, snapshot = self._hosts[rank].server.params, self._given[rank][0]
        self._hosts[rank].server.shift(self._merged(params, snapshot, mean))
        self._look()


def _mean(parts: Sequence[Any]) -> Any:
    return mean_of(iter(parts))
