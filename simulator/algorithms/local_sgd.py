"""Local SGD: every worker trains alone and the models are averaged now and then.

Stich, arXiv:1805.09767; Lin et al., arXiv:1808.07217, github.com/epfml/LocalSGD-Code,
commit 3d4811d.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from simulator.algorithms.base import ELASTIC, Needs, Specification, in_one_group, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group


@register("local-sgd")
@dataclass(frozen=True)
class LocalSGD:
    """Average the models every `period` steps; wait for nobody in between.

    ::

        w_i = w_i + update(grad(w_i, batch_i))          every step
        w_i = all_reduce(w_i) / N                       every `period` steps

    Momentum stays with the worker and is never averaged.

    Parameters
    ----------
    period
        Local steps between two averagings (H); 1 is sync-sgd.
    """

    period: Annotated[int, Ge(1)] = 8

    needs: ClassVar[Needs] = Needs(failures=ELASTIC)
    paper: ClassVar[str] = "arXiv:1805.09767"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        return averaging_now_and_then(worker, rank, world, self.agrees_after)

    def agrees_after(self, steps: int) -> bool:
        """Do all replicas hold the same after *steps* steps?"""
        return steps % self.period == 0


def averaging_now_and_then(
    worker: Worker, rank: int, world: Group, due: Callable[[int], bool]
) -> Process:
    """The life of a worker that trains alone and averages models when *due* says so.

    *due* is asked with the number of steps taken.
    """
    params, state = worker.start()
    for step in worker.steps():
        batch = yield worker.load_batch()
        loss, grad = yield worker.compute_gradient(params, batch)
        change, state = worker.update(params, grad, state)
        params = worker.apply(params, change)
        if due(step + 1):
            params = yield world.mean(rank, params)
        worker.finish_step(step, params, loss)
