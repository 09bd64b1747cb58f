"""DC-S3GD: delay-compensated stale-synchronous SGD with a non-blocking all-reduce.

Rigazzi, DC-S3GD: Delay-Compensated Stale-Synchronous SGD for Large-Scale Decentralized
Neural Network Training, arXiv:1911.02516.  The formulas are quoted by a third party; the
order of the loop is their natural reading.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from simulator.algorithms.base import Needs, Specification, in_one_group, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.learning.models.base import tensors
from simulator.network import Group


@register("dc-s3gd")
@dataclass(frozen=True)
class DCS3GD:
    """The all-reduce of step t runs while step t+1 computes.

    ::

        g_i = grad(w_i, batch_i)                      compute
        D_i = all_reduce(d_i) / N - d_i               wait for the previous step's
        g_i = g_i + c * g_i * g_i * D_i               compensate the delay
        d_i = update(g_i);  start all_reduce(d_i)     do not wait
        w_i = w_i + D_i + d_i

    so that w_i = (mean parameters one step ago) + (own last change).  The factor
    c = compensation * |g_i| / |g_i * g_i * D_i| keeps the correction in proportion.
    After the last step the open all-reduce is waited for, and all replicas agree.

    Parameters
    ----------
    compensation
        Relative size of the correction (lambda_0); 0 is plain stale-synchronous SGD.
    scaled
        Whether the correction has its share of the gradient of the whole `model`, or of each
        `tensor`.
    """

    compensation: Annotated[float, Ge(0)] = 0.2
    scaled: Literal["model", "tensor"] = "model"

    needs: ClassVar[Needs] = Needs(fixed="all replicas hold what a worker gave last")
    paper: ClassVar[str] = "arXiv:1911.02516"
    specification: ClassVar[Specification] = "reconstruction"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        params, state = worker.start()
        change = distance = np.zeros_like(params)
        pending = None
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            if pending is not None:
                mean = yield pending
                distance = mean - change
                grad = grad + self.corrections(worker, grad, distance)
            change, state = worker.update(params, grad, state)
            staleness = 0 if pending is None else 1
            pending = world.mean(rank, change)
            params = worker.apply(params, distance + change)
            worker.finish_step(step, params, loss, staleness)
        if pending is not None:
            mean = yield pending
            worker.publish(worker.apply(params, mean - change))

    def corrections(self, worker: Worker, grad: Params, distance: Params) -> Params:
        """What is added to *grad*, over the whole model or tensor by tensor."""
        if self.scaled == "model":
            return correction(grad, distance, self.compensation)
        parts = tensors(worker.cluster.job.model.shapes, grad.size)
        return np.concatenate(
            [correction(grad[part], distance[part], self.compensation) for part in parts]
        )


def correction(grad: Params, distance: Params, compensation: float) -> Params:
    """First-order estimate of how the gradient changes over *distance*.

    The Hessian is taken as a multiple of ``diag(grad * grad)``, scaled so that the
    result has norm ``compensation * |grad|``; zero where the product vanishes.

    >>> correction(np.array([3.0, 4.0]), np.array([0.0, 1.0]), 0.2).tolist()
    [0.0, 1.0]
    """
    # float64, because products of three small numbers leave the range of float32.
    wide = grad.astype(np.float64)
    product: Params = wide * wide * distance
    size = np.linalg.norm(product)
    return compensation * np.linalg.norm(wide) / size * product if size else product
