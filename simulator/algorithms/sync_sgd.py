"""Synchronous data-parallel SGD with a blocking all-reduce (CSGD).

Chen et al., Revisiting Distributed Synchronous SGD, arXiv:1604.00981.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from simulator.algorithms.base import ELASTIC, Needs, Specification, in_one_group, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group


@register("sync-sgd")
@dataclass(frozen=True)
class SyncSGD:
    """All-reduce SGD: every step waits for the mean gradient of all workers.

    ::

        g_i = grad(w, batch_i)              compute
        g   = all_reduce(g_i) / N           communicate, everyone waits
        w   = w + update(g)

    The slowest worker sets the pace of each step.
    """

    needs: ClassVar[Needs] = Needs(failures=ELASTIC)
    paper: ClassVar[str] = "arXiv:1604.00981"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        params, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            gradient = worker.compute_gradient(params, batch)
            mean = yield world.mean(rank, gradient)
            change, state = worker.update(params, mean, state)
            params = worker.apply(params, change)
            worker.finish_step(step, params, gradient.loss)

    def agrees_after(self, steps: int) -> bool:
        """Do all replicas hold the same after *steps* steps?"""
        return steps > 0
