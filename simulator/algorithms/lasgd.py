"""LASGD: asynchronous inside a host, non-blocking averaging across hosts.

Avidor and Tal-Israel, Locally Asynchronous Stochastic Gradient Descent for Decentralised
Deep Learning, arXiv:2203.13085; only the abstract was available.  The loop is that of
LAP-SGD, github.com/bapi/LPP-SGD, commit 2f00a64, so results are "LASGD-style".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from simulator.algorithms.base import EVERYTHING, Needs, Specification, divides, register
from simulator.algorithms.pieces.masters import HostModel, Masters
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.units import Seconds


@register("lasgd")
@dataclass(frozen=True)
class LASGD:
    """Workers of a host update its model without waiting; masters average the hosts' models.

    ::

        worker:   g = grad(x_q as read, batch);  x_q = x_q + update(g)       no lock
        masters:  s_q = x_q;  all_reduce(s_q), while workers go on           every H updates
                  x_q = x_q + all_reduce(s_q) / Q - s_q

    Nobody waits for another host; a late update survives the averaging.

    Parameters
    ----------
    period
        Updates of some host's model since it was last averaged (H).
    trigger
        What begins an averaging: `updates`, the end of the one before (`back-to-back`), or
        a `timer` of `interval`.
    interval
        Between two averagings by timer.
    local_update
        `lock-free`: workers exchange with the host's model all at once; `server`: one by one.
    merge
        `in-place` as above; `overwrite` loses late updates; `elastic` moves by the part
        `elasticity` of the difference.
    elasticity
        alpha of the elastic merge.
    momentum
        Whose it is: of every GPU, or of the node's model.
    group_size
        Workers per group; by default those of one host.
    """

    period: Annotated[int, Ge(1)] = 8
    trigger: Literal["updates", "back-to-back", "timer"] = "updates"
    interval: Annotated[Seconds, Gt(0)] = 1.0
    local_update: Literal["lock-free", "server"] = "lock-free"
    merge: Literal["in-place", "overwrite", "elastic"] = "in-place"
    elasticity: Annotated[float, Gt(0), Le(1)] = 0.5
    momentum: Literal["gpu", "node"] = "gpu"
    group_size: Annotated[int, Ge(1)] | None = None

    needs: ClassVar[Needs] = Needs(
        lock_step=False, groups=True, optimizer=EVERYTHING - {"linear_scaling"}
    )
    paper: ClassVar[str] = "arXiv:2203.13085"
    specification: ClassVar[Specification] = "reconstruction"

    def check(self, workers: int, hosts: int) -> None:
        """Refuse a group size that does not divide the number of workers."""
        del hosts
        divides(self.group_size, workers, "groups")

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        subgroups = cluster.subgroups(self.group_size)
        serial, common = self.local_update == "server", self.momentum == "node"
        hosts = [HostModel(cluster, members, serial, common) for members in subgroups]
        if len(hosts) > 1:
            Masters(cluster, hosts, self.merged, self.due)
        for host, members in zip(hosts, subgroups, strict=True):
            for worker in members:
                yield self.replica(worker, host)

    def replica(self, worker: Worker, host: HostModel) -> Process:
        params, _ = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            params, staleness = yield from host.exchange(worker, step, grad)
            worker.finish_step(step, params, loss, staleness)

    def due(self, updates: int, seconds: float) -> float:
        """Seconds until an averaging begins; how many updates and how long since the last one."""
        if self.trigger == "timer":
            return max(0.0, self.interval - seconds)
        wanted = self.period if self.trigger == "updates" else 1
        return 0.0 if updates >= wanted else math.inf

    def merged(self, params: Params, snapshot: Params, mean: Params) -> Params:
        """What a host's model moves by when the mean of snapshots has come back."""
        if self.merge == "overwrite":
            return mean - params
        return (self.elasticity if self.merge == "elastic" else 1.0) * (mean - snapshot)
