"""Downpour SGD: workers train alone for a while between exchanges with a server.

Dean et al., Large Scale Distributed Deep Networks, NIPS 2012; the loop as in
github.com/sixin-zh/mpiT, commit c359666, `asyncsgd/optim-downpour.lua`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from simulator.algorithms.base import ELASTIC, Needs, Specification, register
from simulator.cluster import Cluster, Server, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.engine import Together


@register("downpour")
@dataclass(frozen=True)
class Downpour:
    """Push what was accumulated, and fetch the model, every few steps; wait for no worker.

    ::

        worker i:  d = -rate * grad(w_i, batch_i);  s_i = s_i + d
                   push s_i, s_i = 0               every `push_period` steps
                   w_i = pull                      every `fetch_period` steps, else w_i = w_i + d
        server:    w = w + what was pushed         in order of arrival

    Exchanges begin with the first step; what is left in the end is pushed.

    Parameters
    ----------
    push_period, fetch_period
        Steps between two pushes (tau), and between two fetches; the same by default.
    shards
        Servers, each with a part of the model and a NIC of its own.
    own_push
        Whether a push is served `before` or `after` a pull that begins together with it, or
        `race`s with it.
    rate_scale
        Learning rate as a multiple of the scenario's; by default 1 / N, since the changes
        of N workers add up.
    """

    push_period: Annotated[int, Ge(1)] = 4
    fetch_period: Annotated[int, Ge(1)] | None = None
    shards: Annotated[int, Ge(1), Le(1024)] = 1
    own_push: Literal["race", "before", "after"] = "race"
    rate_scale: Annotated[float, Gt(0)] | None = None

    needs: ClassVar[Needs] = Needs(
        lock_step=False, servers=1, optimizer=frozenset({"weight_decay"}), failures=ELASTIC
    )
    paper: ClassVar[str] = "Dean et al., NIPS 2012"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        server = cluster.server()
        scale = 1 / len(cluster.workers) if self.rate_scale is None else self.rate_scale
        for worker in cluster.workers:
            yield self.replica(worker, server, scale)

    def replica(self, worker: Worker, server: Server, scale: float) -> Process:
        params, state = worker.start()
        gathered = nothing = np.zeros_like(params)
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            change, staleness = scale * change, None
            gathered = gathered + change
            pushes = step % self.push_period == 0
            fetches = step % (self.fetch_period or self.push_period) == 0
            if pushes and fetches:
                params, staleness = yield from self.exchange(worker, server, gathered)
            elif pushes:
                staleness = yield server.push(worker, gathered)
            elif fetches:
                params = yield server.pull(worker)
            if pushes:
                gathered = nothing
            if not fetches:
                params = worker.apply(params, change)
            worker.finish_step(step, params, loss, staleness)
        if gathered is not nothing:
            yield server.push(worker, gathered)

    def exchange(self, worker: Worker, server: Server, change: Params) -> Process:
        """Push and pull at once; gives (parameters, staleness)."""
        if self.own_push != "race":
            after = self.own_push == "after"
            return (yield server.push_pull(worker, change, pull_first=after))
        both = [server.push(worker, change), server.pull(worker)]
        staleness, params = yield Together(worker.cluster.env, f"answers of {server}", both, tuple)
        return params, staleness
