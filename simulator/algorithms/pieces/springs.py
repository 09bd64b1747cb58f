"""Workers on springs: what easgd and eamsgd have in common."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.cluster import Cluster, Server, Worker
from simulator.cluster.accounting import Process

SPRING = 0.9  # beta = N alpha, of which each worker has its share by default


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
