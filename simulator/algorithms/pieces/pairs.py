"""Pairs of ranks that average their models, one pair of a rank at a time."""

from __future__ import annotations

import simpy
from simpy.events import Event

from simulator.cluster import Cluster
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.engine import done


class Models:
    """The model of every rank, which two threads change.

    Attributes
    ----------
    params
        By rank.
    averagings
        So far, by rank.
    """

    def __init__(self, cluster: Cluster):
        self.cluster = cluster
        n = len(cluster.workers)
        self.params: list[Params] = [cluster.job.start] * n
        self.averagings = [0] * n
        self._turns = [simpy.Resource(cluster.env) for _ in range(n)]
        self._ended = [False] * n  # a step since the last averaging
        self._waits: list[Event | None] = [None] * n

    def move(self, rank: int, params: Params) -> None:
        """Let *params* be the model of *rank* from now on."""
        self.params[rank] = params
        self.cluster.workers[rank].publish(params)

    def step_taken(self, rank: int) -> None:
        """*rank* has ended a step."""
        wait, self._waits[rank] = self._waits[rank], None
        if wait is None:
            self._ended[rank] = True
        else:
            wait.succeed()

    def next_step(self, rank: int) -> Event:
        """Event that fires when *rank* has ended a step since this was last asked for."""
        if self._ended[rank]:
            self._ended[rank] = False
            return done(self.cluster.env, None)
        wait = self._waits[rank] = self.cluster.env.event()
        return wait

    def average(self, rank: int, other: int) -> Process:
        """Let both have the mean of what they have when it is *rank*'s turn; did it take time?

        What either learns while the models are under way is added to that.
        """
        began, send = self.cluster.env.now, self.cluster.network.send
        nodes, nbytes = self.cluster.nodes, self.cluster.nbytes
        with self._turns[other].request() as turn:
            yield turn
            half = (self.params[other] - self.params[rank]) / 2
            there, back = (
                send(nodes[a], nodes[b], nbytes) for a, b in ((rank, other), (other, rank))
            )
            yield there
            yield back
            apply = self.cluster.job.apply
            self.move(rank, apply(self.params[rank], half))
            self.move(other, apply(self.params[other], -half))
        self.averagings[rank] += 1
        self.averagings[other] += 1
        return self.cluster.env.now > began
