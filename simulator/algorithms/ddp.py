"""Bucketed all-reduce overlapped with the backward pass (PyTorch's DDP).

Li et al., PyTorch Distributed: Experiences on Accelerating Data Parallel Training,
arXiv:2006.15704; the Reducer of github.com/pytorch/pytorch.  One bucket per tensor is
wait-free back-propagation; merged buckets: Shi et al., MG-WFBP, arXiv:1811.11141.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from simulator.algorithms.base import Needs, Specification, in_one_group, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group
from simulator.units import Unit

MIB = 2.0**20
Cap = Annotated[float, Unit("B")]


@register("ddp")
@dataclass(frozen=True)
class DDP:
    """Buckets of the gradient are all-reduced while the backward pass goes on.

    ::

        g_i = grad(w, batch_i)                    compute; buckets fill from the last layer on
        g[j] = all_reduce(g_i[j]) / N             bucket by bucket, each as soon as it is
                                                  full and the one before it is through
        w   = w + update(g)                       when all are through

    Parameters are those of sync-sgd.  The last bucket is never hidden.

    Parameters
    ----------
    bucket
        A bucket is closed when it holds so many bytes; 0 makes one of every tensor.
    first_bucket
        The same for the first one, so that communication begins early.
    """

    bucket: Cap = 25 * MIB
    first_bucket: Cap = 1 * MIB

    needs: ClassVar[Needs] = Needs()
    paper: ClassVar[str] = "arXiv:2006.15704"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        buckets = worker.cluster.buckets((self.first_bucket, self.bucket))
        params, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            gradient = worker.compute_gradient(params, batch)
            parts = []
            for ready, nbytes in zip(worker.ready(gradient, buckets), buckets.nbytes, strict=True):
                part = yield ready
                mean = yield world.mean(rank, part, nbytes)
                parts.append(mean)
            loss, _ = yield gradient
            change, state = worker.update(params, worker.joined(*parts), state)
            params = worker.apply(params, change)
            worker.finish_step(step, params, loss)

    def agrees_after(self, steps: int) -> bool:
        """Do all replicas hold the same after *steps* steps?"""
        return steps > 0
