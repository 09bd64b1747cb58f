"""Local SGD: every worker trains alone and the models are averaged now and then.

Stich, arXiv:1805.09767; Lin et al., arXiv:1808.07217, github.com/epfml/LocalSGD-Code,
commit 3d4811d.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from simulator.algorithms.base import ELASTIC, Needs, Specification, register
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
        world = cluster.group(cluster.workers)
        for rank, worker in enumerate(cluster.workers):
            yield self.replica(worker, rank, world)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        params, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            params = worker.apply(params, change)
            if (step + 1) % self.period == 0:
                params = yield world.mean(rank, params)
            worker.finish_step(step, params, loss)
