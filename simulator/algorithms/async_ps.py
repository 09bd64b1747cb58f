"""Asynchronous SGD with a parameter server (ASGD).

The tau = 1 case of Downpour: Dean et al., Large Scale Distributed Deep Networks, NIPS
2012; the server as in github.com/sixin-zh/mpiT, commit c359666.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from simulator.algorithms.base import ELASTIC, Needs, Specification, register
from simulator.cluster import Cluster, Server, Worker
from simulator.cluster.accounting import Process


@register("async-ps")
@dataclass(frozen=True)
class AsyncPS:
    """Push a gradient step to the server, pull the model, wait for no other worker.

    ::

        worker i:  g = grad(w_i, batch_i)
                   push -rate * (g + weight_decay * w_i);  w_i = pull
        server:    w = w + what was pushed               in order of arrival

    The pull is served after the worker's own push, so one worker alone is sequential
    SGD.  Other workers matter only through the queue at the server's NIC and through
    staleness: the changes that a gradient has missed.
    """

    needs: ClassVar[Needs] = Needs(
        lock_step=False,
        servers=1,
        optimizer=frozenset({"weight_decay"}),
        failures=ELASTIC,
    )
    paper: ClassVar[str] = "Dean et al., NIPS 2012"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        server = cluster.server()
        for worker in cluster.workers:
            yield self.replica(worker, server)

    def replica(self, worker: Worker, server: Server) -> Process:
        params, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            answer = server.push_pull(worker, change)
            del grad, change  # so that thousands of waiting workers keep one row each
            params, staleness = yield answer
            worker.finish_step(step, params, loss, staleness)
