"""EASGD: workers are tied to a centre by a spring.

Zhang, Choromanska, LeCun, Deep learning with Elastic Averaging SGD, arXiv:1412.6651; the
loop as in github.com/sixin-zh/mpiT, commit c359666, `asyncsgd/optim-eamsgd.lua`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from simulator.algorithms.base import ELASTIC, Needs, Specification, register
from simulator.cluster import Cluster, Server, Worker
from simulator.cluster.accounting import Process

SPRING = 0.9  # beta = N alpha, of which each worker has its share by default


@register("easgd")
@dataclass(frozen=True)
class EASGD:
    """Every few steps a worker and the centre on the server move towards each other.

    ::

        every tau steps:  pull the centre c;  e = alpha * (w_i - c)
                          push e, while the step computes:  c = c + e
        every step:       w_i = w_i - rate * grad(w_i, batch_i)     (- e)

    The centre is what is evaluated.

    Parameters
    ----------
    period
        Steps between two exchanges (tau).
    elasticity
        alpha; by default 0.9 / N.
    """

    period: Annotated[int, Ge(1)] = 4
    elasticity: Annotated[float, Ge(0)] | None = None

    needs: ClassVar[Needs] = Needs(
        lock_step=False, servers=1, optimizer=frozenset({"weight_decay"}), failures=ELASTIC
    )
    paper: ClassVar[str] = "arXiv:1412.6651"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return elastic(cluster, self.period, self.elasticity, momentum=0.0)


def elastic(
    cluster: Cluster, period: int, elasticity: float | None, momentum: float
) -> Iterator[Process]:
    """A process per worker, all tied to one centre; with Nesterov momentum if that is not 0."""
    server = cluster.server()
    alpha = SPRING / len(cluster.workers) if elasticity is None else elasticity
    for worker in cluster.workers:
        yield tied(worker, server, period, alpha, momentum)


def tied(worker: Worker, server: Server, period: int, alpha: float, momentum: float) -> Process:
    """The life of a worker on a spring."""
    params, state = worker.start()
    velocity, pushing = np.zeros_like(params), None
    for step in worker.steps():
        batch = yield worker.load_batch()
        pull = None
        if step % period == 0:
            if pushing is not None:
                yield pushing
            centre = yield server.pull(worker)
            pull = alpha * (params - centre)
            pushing = server.push(worker, pull)
        ahead = worker.apply(params, momentum * velocity) if momentum else params
        loss, grad = yield worker.compute_gradient(ahead, batch)
        change, state = worker.update(ahead, grad, state)
        velocity = momentum * velocity + change
        params = worker.apply(ahead, change if pull is None else change - pull)
        worker.finish_step(step, params, loss)
    if pushing is not None:
        yield pushing
