"""SASGD: sparse-aggregation SGD, which adds up gradients for a while before it sends them.

Cong, Bhardwaj, Feng, An efficient, distributed stochastic gradient descent algorithm for
deep-learning applications, ICPP 2017; only the abstract was available, so the loop is a
reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from simulator.algorithms.base import NO_MOMENTUM, Needs, Specification, in_one_group, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group


@register("sasgd")
@dataclass(frozen=True)
class SASGD:
    """All-reduce the gradients of `interval` local steps at once, without a server.

    ::

        w_i = w_i - rate * g_i;  s_i = s_i + g_i         every step
        w'  = w' - global_rate * all_reduce(s_i)         every T steps, everyone waits
        w_i = w';  s_i = 0

    With global_rate = rate / N the models are averaged (k-avg); with global_rate = rate
    the displacements are added up.  T = 1 is sync-sgd.

    Parameters
    ----------
    interval
        Local steps between two aggregations (T).
    global_rate
        Rate of an aggregation as a multiple of the local one (gamma_p / gamma); by default
        1 / N.
    """

    interval: Annotated[int, Ge(1)] = 8
    global_rate: Annotated[float, Gt(0)] | None = None

    needs: ClassVar[Needs] = Needs(
        optimizer=NO_MOMENTUM,
        fixed="what it has added up since the last aggregation would be lost",
    )
    paper: ClassVar[str] = "Cong et al., ICPP 2017"
    specification: ClassVar[Specification] = "reconstruction"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        share = 1 / world.size if self.global_rate is None else self.global_rate
        params, state = worker.start()
        common, moved = params, np.zeros(params.shape)  # what the accumulated gradients ask for
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            params, moved = worker.apply(params, change), moved + change
            if self.agrees_after(step + 1):
                total = yield world.all_reduce(rank, share * moved)
                params = common = worker.apply(common, total)
                moved = np.zeros(params.shape)
            worker.finish_step(step, params, loss)

    def agrees_after(self, steps: int) -> bool:
        """Do all replicas hold the same after *steps* steps?"""
        return steps % self.interval == 0
