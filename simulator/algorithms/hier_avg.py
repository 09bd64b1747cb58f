"""Hier-AVG: frequent averaging within groups, rare averaging across them.

Zhou and Cong, A Distributed Hierarchical SGD Algorithm with Sparse Global Reduction,
arXiv:1903.05133; the rule as in PyTorch's hierarchical model averager.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from simulator.algorithms.base import NO_MOMENTUM, Needs, Specification, divides, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.errors import InvalidInput
from simulator.network import Group


@register("hier-avg")
@dataclass(frozen=True)
class HierAvg:
    """Average inside the group every `k1` steps, over all workers every `k2` steps.

    ::

        w_i = w_i - rate * grad(w_i, batch_i)           every step
        w_i = mean over all                             every K2 steps
        w_i = mean over the group                       else every K1 steps

    Parameters
    ----------
    k1, k2
        Steps between two averagings inside groups, and over all.
    group_size
        Workers per group (S); by default those of one host.
    """

    k1: Annotated[int, Ge(1)] = 2
    k2: Annotated[int, Ge(1)] = 8
    group_size: Annotated[int, Ge(1)] | None = None

    needs: ClassVar[Needs] = Needs(
        groups=True, optimizer=NO_MOMENTUM, fixed="its groups are made once"
    )
    paper: ClassVar[str] = "arXiv:1903.05133"
    specification: ClassVar[Specification] = "reconstruction"

    def check(self, workers: int, hosts: int) -> None:
        """Refuse groups that never average, or do not divide the number of workers."""
        del hosts
        if self.k1 > self.k2:
            raise InvalidInput(f"k1 = {self.k1} never acts: it is more than k2 = {self.k2}")
        divides(self.group_size, workers, "groups")

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        world = cluster.group(cluster.workers)
        for number, members in enumerate(cluster.subgroups(self.group_size)):
            local = cluster.group(members, f"group {number}")
            for local_rank, worker in enumerate(members):
                yield self.replica(worker, world, local, local_rank)

    def replica(self, worker: Worker, world: Group, local: Group, local_rank: int) -> Process:
        params, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            params = worker.apply(params, change)
            if self.agrees_after(step + 1):
                params = yield world.mean(worker.rank, params)
            elif (step + 1) % self.k1 == 0:
                params = yield local.mean(local_rank, params)
            worker.finish_step(step, params, loss)

    def agrees_after(self, steps: int) -> bool:
        """Do all replicas hold the same after *steps* steps?"""
        return steps % self.k2 == 0
