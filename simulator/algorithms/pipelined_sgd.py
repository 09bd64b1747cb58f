"""Pipelined SGD: the mean gradient is applied one step late.

Li et al., Pipe-SGD: A Decentralized Pipelined SGD Framework for Distributed Deep Net
Training, NeurIPS 2018, arXiv:1811.03619, with pipeline width 2; only the abstract was
available.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from simulator.algorithms.base import Needs, Specification, in_one_group, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group


@register("pipelined-sgd")
@dataclass(frozen=True)
class PipelinedSGD:
    """The all-reduce of a gradient runs under the next step's computation.

    ::

        g_i(t) = grad(w(t), batch_i)                   compute
        g(t-1) = all_reduce(g_i(t-1)) / N              wait for the previous step's
        start all_reduce(g_i(t))                       do not wait
        w(t+1) = w(t) + update(g(t-1))

    All replicas agree; unlike in dc-s3gd a worker's own gradient is late as well.
    """

    needs: ClassVar[Needs] = Needs(fixed="an all-reduce may be under way")
    paper: ClassVar[str] = "arXiv:1811.03619"
    specification: ClassVar[Specification] = "reconstruction"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        params, state = worker.start()
        pending = None
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            mean = None if pending is None else (yield pending)
            pending = world.mean(rank, grad)
            if mean is not None:
                change, state = worker.update(params, mean, state)
                params = worker.apply(params, change)
            worker.finish_step(step, params, loss, staleness=min(step, 1))
        if pending is not None:
            change, state = worker.update(params, (yield pending), state)
            worker.publish(worker.apply(params, change))

    def agrees_after(self, steps: int) -> bool:
        """Do all replicas hold the same after *steps* steps and a final wait?"""
        return steps > 0
