"""Synchronous SGD with backup workers: the server does not wait for the slowest.

Chen et al., Revisiting Distributed Synchronous SGD, arXiv:1604.00981; the rule as a third
party states it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from simulator.algorithms.base import Needs, Specification, register
from simulator.algorithms.pieces.serving import AveragingServer
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.engine import First
from simulator.errors import InvalidInput


@register("backup-workers")
@dataclass(frozen=True)
class BackupWorkers:
    """Of the gradients of N + b workers the first N make a step; the others are dropped.

    ::

        worker i:  push (t, g_i = grad(w_t, batch_i))
                   take the newest w, as soon as there is one
        server:    w_(t+1) = w_t + update(mean of the first N tagged t)
                   drop later ones;  send w_(t+1) to all N + b workers

    No gradient is stale.  A step that is given up has no row and counts for nobody.  Workers
    that are always slow are hardly ever heard.

    Parameters
    ----------
    backup
        How many of the workers are not waited for (b); by default one, if there are two.
    late
        What a worker does that is still computing when the next model comes: `abort`, or
        `finish` and have its gradient dropped.
    """

    backup: Annotated[int, Ge(0)] | None = None
    late: Literal["abort", "finish"] = "abort"

    needs: ClassVar[Needs] = Needs(lock_step=False, servers=1)
    paper: ClassVar[str] = "arXiv:1604.00981"
    specification: ClassVar[Specification] = "reconstruction"

    def check(self, workers: int, hosts: int) -> None:
        """Refuse to wait for nobody."""
        del hosts
        if self.backup is not None and self.backup >= workers:
            raise InvalidInput(
                f"{self.backup} backup workers leave none of {workers} to wait for; "
                f"at most {workers - 1}"
            )

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        workers = len(cluster.workers)
        backup = min(1, workers - 1) if self.backup is None else self.backup
        server = AveragingServer(cluster, wanted=workers - backup)
        for worker in cluster.workers:
            yield self.replica(worker, server)

    def replica(self, worker: Worker, server: AveragingServer) -> Process:
        (params, _), version = worker.start(), 0  # updates that the model has had
        for step in worker.steps():
            batch = yield worker.load_batch()
            gradient = worker.compute_gradient(params, batch)
            if self.late == "abort":
                newer = server.model(worker, version)
                yield First(worker.cluster.env, "a gradient or a newer model", [gradient, newer])
                if not gradient.processed:
                    worker.abandon()
                    version, params = yield newer
                    continue
            loss, grad = yield gradient
            server.push(worker, version, grad)
            news = yield server.model(worker, version)
            used = server.took(worker, version)
            version, params = news
            worker.finish_step(step, params, loss, staleness=0, used=used)
        server.leave(worker)
