"""PowerSGD: gradients as products of two thin matrices.

Vogels, Karimireddy, Jaggi, PowerSGD: Practical Low-Rank Gradient Compression for Distributed
Optimization, NeurIPS 2019, arXiv:1905.13727; github.com/epfml/powersgd, commit f07be92,
`paper-code/gradient_reducers.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from simulator.algorithms.base import Needs, Specification, register
from simulator.algorithms.pieces.compression import Cost, low_rank_nbytes
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.cluster.workload import BYTES_PER_PARAMETER
from simulator.engine.values import frozen
from simulator.learning.compressors import LowRank, orthonormal
from simulator.network import Group
from simulator.network.group import mean_of

# s, an estimate: thin matrices reach a tenth of a V100's 15.7e12 FLOP/s (its data sheet).
MULTIPLY_ADD = 2 / 1.57e12


@register("powersgd")
@dataclass(frozen=True)
class PowerSGD:
    """One step of power iteration gives factors of every matrix, which can be all-reduced.

    ::

        M_i = grad_i + E_i                              for every matrix of weights
        A = all_reduce(M_i Q) / N;  orthonormalise A
        Q = all_reduce(M_i^T A) / N
        M = A Q^T;  E_i = M_i - M                       Q is kept for the next step
        w = w + update(M)

    Biases are sent exactly with the first factor.

    Parameters
    ----------
    rank
        Columns of the factors.
    multiply_cost
        Time per multiply-add: `rank` of them per coordinate of the full-size job for each of
        the three products, and per number of A to orthonormalise it.
    """

    rank: Annotated[int, Ge(1)] = 2
    multiply_cost: Cost = MULTIPLY_ADD

    needs: ClassVar[Needs] = Needs(fixed="what it has not sent yet would be lost", restarts=False)
    paper: ClassVar[str] = "arXiv:1905.13727"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        world, job = cluster.group(cluster.workers), cluster.job
        factors = LowRank(job.model.shapes, len(job.start), self.rank)
        rights = factors.start(cluster.streams.get("powersgd"), job.dtype)
        small = (factors.numbers + len(factors.rest)) / len(job.start)
        nbytes = low_rank_nbytes(cluster, self.rank, small)
        for worker in cluster.workers:
            yield self.replica(worker, world, factors, rights, nbytes)

    def replica(
        self,
        worker: Worker,
        world: Group,
        factors: LowRank,
        rights: Sequence[Params],
        nbytes: tuple[float, float, float],
    ) -> Process:
        (params, state), rank = worker.start(), worker.rank
        error = np.zeros_like(params)
        left_nbytes, right_nbytes, rest_nbytes = nbytes
        seconds = self.multiply_cost * self.rank * worker.cluster.parameters
        orthonormalising = self.multiply_cost * self.rank * left_nbytes / BYTES_PER_PARAMETER
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            whole = grad + error
            yield worker.spend(seconds)
            parts = (factors.project(whole, rights), whole[factors.rest])
            merge: Any = left_factors
            sent = left_nbytes + rest_nbytes
            lefts, rest = yield world.all_reduce(rank, parts, sent, merge)
            yield worker.spend(2 * seconds + orthonormalising)
            merge = partial(right_factors, factors, lefts, rest)
            own = factors.back(whole, lefts)
            rights, mean = yield world.all_reduce(rank, own, right_nbytes, merge)
            error = whole - mean
            error[factors.rest] = 0  # they were sent as they are
            change, state = worker.update(params, mean, state)
            params = worker.apply(params, change)
            worker.finish_step(step, params, loss)


def left_factors(parts: Sequence[Any]) -> tuple[list[Params], Params]:
    """Orthonormal left factors of the mean matrices, and the mean of what is sent dense."""
    lefts = [
        orthonormal(mean_of(iter(one))) for one in zip(*(part[0] for part in parts), strict=True)
    ]
    return lefts, mean_of(part[1] for part in parts)


def right_factors(
    factors: LowRank, lefts: Sequence[Params], rest: Params, parts: Sequence[Any]
) -> tuple[list[Params], Params]:
    """Mean right factors, and the gradient that all factors together stand for."""
    rights = [mean_of(iter(one)) for one in zip(*parts, strict=True)]
    mean = factors.rebuild(lefts, rights)
    mean[factors.rest] = rest
    return rights, frozen(mean)
