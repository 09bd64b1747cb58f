"""Layered SGD (LSGD): communicators hide the global all-reduce behind data loading.

Yu et al., Layered SGD, arXiv:1906.05936; order of operations as in the authors' code,
github.com/ML4HPC/scalable_DNN, commit e827d93, `LSGD.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from simulator.algorithms.base import Needs, Specification, divides, register, with_last
from simulator.cluster import Cluster, Communicator, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group
from simulator.network.group import Shape

COMMUNICATOR = 0  # rank of the communicator in its subgroup


@register("layered-sgd")
@dataclass(frozen=True)
class LayeredSGD:
    """Synchronous SGD in two layers: the global one runs while workers load.

    Workers form subgroups, each with a communicator on the host's CPU::

        workers:        g_i = grad(w, batch_i);  reduce g_i to the communicator
                        load the next batch              } at the same
        communicators:  all_reduce over the subgroups    } time
                        divide by N, broadcast back
        workers:        w = w + update(g)

    Parameters are those of sync-sgd at every step, up to rounding; only time differs.

    Parameters
    ----------
    group_size
        Workers per subgroup; by default those of one host.
    broadcast
        `star`: a worker gets the mean as soon as it has loaded; `tree`: a late loader
        also delays the workers behind it.
    late_rate
        Apply a gradient with the learning rate of the step after it, the run's last one
        excepted, as the authors' code does by applying it only then.
    """

    group_size: Annotated[int, Ge(1)] | None = None
    broadcast: Shape = "star"
    late_rate: bool = False

    needs: ClassVar[Needs] = Needs(groups=True, fixed="its subgroups are made once", restarts=False)
    paper: ClassVar[str] = "arXiv:1906.05936"
    specification: ClassVar[Specification] = "verified from code"

    def check(self, workers: int, hosts: int) -> None:
        """Refuse a group size that does not divide the number of workers."""
        del hosts
        divides(self.group_size, workers, "groups")

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        subgroups = cluster.subgroups(self.group_size)
        communicators = [cluster.communicator(subgroup) for subgroup in subgroups]
        top = cluster.group(communicators, "communicators")
        for top_rank, (own, subgroup) in enumerate(zip(communicators, subgroups, strict=True)):
            local = cluster.group([own, *subgroup], f"subgroup {top_rank}")
            yield self.communicate(
                own, subgroup[0].steps(), local, top, top_rank, len(cluster.workers)
            )
            for rank, worker in enumerate(subgroup, start=COMMUNICATOR + 1):
                yield self.replica(worker, rank, local)

    def replica(self, worker: Worker, rank: int, local: Group) -> Process:
        params, state = worker.start()
        batch = yield worker.load_batch()
        for step, last in with_last(worker.steps()):
            gradient = worker.compute_gradient(params, batch)
            yield local.reduce(rank, gradient)
            if not last:
                batch = yield worker.load_batch()  # while the communicators all-reduce
            mean = yield local.broadcast(rank, shape=self.broadcast)
            if self.late_rate and (last or step == 0):
                state = worker.at_step(state, step if last else 1)
            change, state = worker.update(params, mean, state)
            params = worker.apply(params, change)
            worker.finish_step(step, params, gradient.loss)

    def communicate(
        self,
        own: Communicator,
        steps: Iterator[int],
        local: Group,
        top: Group,
        top_rank: int,
        n_workers: int,
    ) -> Process:
        own.start()
        for _ in steps:
            subtotal = yield local.reduce(COMMUNICATOR)
            mean = yield top.all_reduce(top_rank, subtotal / n_workers)
            yield local.broadcast(COMMUNICATOR, mean, shape=self.broadcast)
