"""Synchronous SGD with a parameter server, in its standard form.

Li et al., Scaling Distributed Machine Learning with the Parameter Server, OSDI 2014.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from simulator.algorithms.base import Needs, Specification, register
from simulator.algorithms.pieces.serving import AveragingServer
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process


@register("sync-ps")
@dataclass(frozen=True)
class SyncPS:
    """A server averages the gradients of all workers and sends the model back.

    ::

        worker i:  push g_i = grad(w, batch_i);  wait for the new w
        server:    w = w + update(sum of g_i / N)     when all have come
                   send w to every worker

    Parameters are those of sync-sgd; the server's NIC carries N gradients each way.

    Parameters
    ----------
    shards
        Servers, each with a part of the model and a NIC of its own.
    """

    shards: Annotated[int, Ge(1), Le(1024)] = 1

    needs: ClassVar[Needs] = Needs(servers=1)
    paper: ClassVar[str] = "Li et al., OSDI 2014"
    specification: ClassVar[Specification] = "reconstruction"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        server = AveragingServer(cluster, wanted=len(cluster.workers))
        for worker in cluster.workers:
            yield self.replica(worker, server)

    def replica(self, worker: Worker, server: AveragingServer) -> Process:
        params, _ = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            server.push(worker, step, grad)
            _, params = yield server.model(worker, step)
            worker.finish_step(step, params, loss)
