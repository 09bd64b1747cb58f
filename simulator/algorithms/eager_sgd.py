"""Eager-SGD: an all-reduce that does not wait for late gradients.

Li et al., Taming Unbalanced Training Workloads in Deep Learning with Partial Collective
Operations, PPoPP 2020.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from simulator.algorithms.base import Needs, Specification, register
from simulator.algorithms.pieces.leftovers import Leftovers
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group


@register("eager-sgd")
@dataclass(frozen=True)
class EagerSGD:
    """Round t of the all-reduce begins with the first who comes, or with one drawn by lot.

    ::

        g_i = grad(w_i, batch_i);  p_i = p_i + g_i
        if round t is not over:  trigger it, if that is up to i;  wait for its end
                                 all contribute the p_j they have;  p_j = 0
        w_i = w_i + update(sum of round t's contributions / N)

    A late gradient stays in p_i for a later round; each counts exactly once.

    Parameters
    ----------
    quorum
        `solo`: the first triggers a round; `majority`: a rank drawn for it, so that half of
        the others have come on average.
    results
        Who has missed rounds uses the `latest`, or `all` of them, one per step.
    average_every
        Steps between two exact averagings of the models, which drift apart with `latest`.
    """

    quorum: Literal["solo", "majority"] = "solo"
    results: Literal["latest", "all"] = "latest"
    average_every: Annotated[int, Ge(1)] | None = 100

    needs: ClassVar[Needs] = Needs(fixed="a round may be under way", timed=True)
    paper: ClassVar[str] = "Li et al., PPoPP 2020"
    specification: ClassVar[Specification] = "from the paper"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        leftovers = Leftovers(cluster, self.quorum == "majority", self.results == "latest")
        world = cluster.group(cluster.workers)
        for worker in cluster.workers:
            yield self.replica(worker, leftovers, world)

    def replica(self, worker: Worker, leftovers: Leftovers, world: Group) -> Process:
        params, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            leftovers.add(worker.rank, grad)
            mean = yield from leftovers.result(worker.rank, step)
            change, state = worker.update(params, mean, state)
            params = worker.apply(params, change)
            if self.average_every is not None and (step + 1) % self.average_every == 0:
                params = yield world.mean(worker.rank, params)
            worker.finish_step(step, params, loss)
