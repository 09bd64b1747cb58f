"""AD-PSGD: pairs of workers average their models while they compute.

Lian et al., Asynchronous Decentralized Parallel Stochastic Gradient Descent, ICML 2018,
arXiv:1710.06952; roles as in `gossip/ad_psgd.py` of
github.com/facebookresearch/stochastic_gradient_push, commit e682064.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from simulator.algorithms.base import EVERYTHING, Needs, Specification, register
from simulator.algorithms.pieces.graphs import neighbours
from simulator.algorithms.pieces.pairs import Models
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process


@register("ad-psgd")
@dataclass(frozen=True)
class ADPSGD:
    """Every worker trains on without waiting; a second thread averages with a neighbour.

    ::

        compute:        g = grad(w_i, batch_i);  w_i = w_i + update(g)     on the present w_i
        communication:  w_i = w_j = (w_i + w_j) / 2                        atomically

    Odd ranks begin averagings, even ranks only answer, one at a time, so nobody can wait
    for each other in a circle; the last of an odd number of ranks only answers.

    Parameters
    ----------
    graph
        Whom an odd rank may average with: any even rank, or those beside it on a `ring`.
    rate
        Averagings of an odd rank: one per `step`, or `back-to-back`.
    """

    graph: Literal["complete", "ring"] = "complete"
    rate: Literal["step", "back-to-back"] = "step"

    needs: ClassVar[Needs] = Needs(
        lock_step=False, optimizer=EVERYTHING - {"linear_scaling"}, fixed="a pair may be averaging"
    )
    paper: ClassVar[str] = "arXiv:1710.06952"
    specification: ClassVar[Specification] = "reconstruction"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        models = Models(cluster)
        n = len(cluster.workers)
        for worker in cluster.workers:
            if worker.rank % 2:
                others = [r for r in neighbours(self.graph, worker.rank, n) if r % 2 == 0]
                cluster.service(self.communicate(worker.rank, others, models))
            yield self.compute(worker, models)

    def compute(self, worker: Worker, models: Models) -> Process:
        rank = worker.rank
        _, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            read, averagings = models.params[rank], models.averagings[rank]
            loss, grad = yield worker.compute_gradient(read, batch)
            change, state = worker.update(read, grad, state)
            models.move(rank, worker.apply(models.params[rank], change))
            models.step_taken(rank)
            missed = models.averagings[rank] - averagings
            worker.finish_step(step, models.params[rank], loss, staleness=missed)

    def communicate(self, rank: int, others: list[int], models: Models) -> Process:
        rng = models.cluster.streams.get("gossip", rank)
        took_time = False
        while True:
            if self.rate == "step" or not took_time:
                yield models.next_step(rank)
            other = others[int(rng.integers(len(others)))]
            took_time = yield from models.average(rank, other)
