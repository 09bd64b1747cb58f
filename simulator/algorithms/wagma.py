"""WAGMA-SGD: wait-avoiding model averaging in groups that change from step to step.

Li et al., Breaking (Global) Barriers in Parallel Stochastic Optimization with
Wait-Avoiding Group Averaging, TPDS 2021.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from simulator.algorithms.base import Needs, Specification, register
from simulator.algorithms.pieces.butterfly import GroupAveraging, averagings, butterfly
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.errors import InvalidInput
from simulator.network import Group


@register("wagma")
@dataclass(frozen=True)
class WAGMA:
    """Average the models of a small group at once with whoever is late: by its last model.

    ::

        y = w_i + update(grad(w_i, batch_i))
        W = sum over the group of the step of their newest models    begun by the first
        w_i = W / S                if y was part of it
        w_i = (W + y) / (S + 1)    if i came too late for that
        w_i = mean of all y        instead, every `period` steps, everyone waits

    Groups are those of a butterfly; after log_S N steps everybody has heard of everybody.

    Parameters
    ----------
    group_size
        Members of a group (S), a power of two; by default the largest up to sqrt(N).
    period
        Steps between two averagings over all (tau).
    exchange
        How a group adds up: log2 S exchanges of whole models, or halves of them, which is
        twice as many for less than two models in all.
    """

    group_size: Annotated[int, Ge(1)] | None = None
    period: Annotated[int, Ge(1)] = 10
    exchange: Literal["recursive-doubling", "halving-doubling"] = "recursive-doubling"

    needs: ClassVar[Needs] = Needs(
        groups=True, fixed="a group's averaging may be under way", timed=True
    )
    paper: ClassVar[str] = "Li et al., TPDS 2021"
    specification: ClassVar[Specification] = "from the paper"

    def check(self, workers: int, hosts: int) -> None:
        """Refuse sizes that make no butterfly."""
        del hosts
        size = self.group_size
        if size is None:
            return
        if size & (size - 1):
            raise InvalidInput(f"groups of {size} make no butterfly; use a power of two")
        if size > workers or workers & (workers - 1):
            raise InvalidInput(
                f"groups of {size} make no butterfly of {workers} workers; use a power of two "
                "of workers, at least as many, or leave group_size out"
            )

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        world, n = cluster.group(cluster.workers), len(cluster.workers)
        size = self.group_size or 1 << (isqrt(n).bit_length() - 1)
        newest = [cluster.job.start] * n
        phases = [
            averagings(cluster, newest, groups, self.exchange) for groups in butterfly(n, size)
        ]
        for worker in cluster.workers:
            yield self.replica(worker, world, newest, [phase[worker.rank] for phase in phases])

    def replica(
        self, worker: Worker, world: Group, newest: list[Params], phases: Sequence[GroupAveraging]
    ) -> Process:
        (params, state), rank = worker.start(), worker.rank
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            params = newest[rank] = worker.apply(params, change)
            if (step + 1) % self.period == 0:
                params = yield world.mean(rank, params)
            else:
                params = yield from phases[step % len(phases)].average(rank, params)
            worker.finish_step(step, params, loss)
