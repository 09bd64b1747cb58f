"""What sketched methods have in common: what a worker accumulates, and how all select from it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from simulator.algorithms.pieces.compression import number_kept, vector_nbytes
from simulator.cluster import Cluster, Worker
from simulator.cluster.job import Params
from simulator.engine.values import frozen
from simulator.learning.compressors import CountSketch, Sparse, count_sketch, top_k, without
from simulator.learning.compressors.topk import Indices
from simulator.learning.optimizers import decayed
from simulator.network.group import total


class Accumulator:
    """A worker's momentum u and accumulated momentum v, of which some is sent now and then.

    ::

        u = mu * u + g;  v = v + u

    Attributes
    ----------
    waiting
        v.
    """

    def __init__(self, worker: Worker):
        self._rule, size = worker.cluster.job.optimizer, worker.params
        self._velocity = self.waiting = np.zeros_like(size)

    def add(self, grad: Params, params: Params) -> None:
        """Take a gradient in."""
        grad = decayed(grad, params, self._rule.weight_decay)
        self._velocity = self._rule.momentum * self._velocity + grad
        self.waiting = frozen(self.waiting + self._velocity)

    def forget(self, indices: Indices, vectors: Indices) -> None:
        """Coordinates *indices* were sent; of *vectors*, which always are, u is kept."""
        self._velocity = without(self._velocity, indices)
        self.waiting = frozen(without(without(self.waiting, indices), vectors))

    def take_back(self, indices: Indices, values: Params, vectors: Indices) -> None:
        """Estimates *values* of coordinates *indices* were used as if they had been sent."""
        left = without(self.waiting, vectors)
        left[indices] -= values
        self.waiting = frozen(left)


class Step(NamedTuple):
    """What comes of a selection.

    Attributes
    ----------
    sums
        Coordinates that are used, with their sums over all workers.
    change
        What the parameters move by.
    """

    sums: Sparse
    change: Params


@dataclass(frozen=True)
class Selection:
    """How a run sketches, and what it selects.

    Attributes
    ----------
    sketch
        The same for all workers.
    kept, asked
        Coordinates that are used of a step (k), and those whose exact values are asked for.
    vectors, matrices
        Coordinates of biases, which are always sent exactly, and the others.
    table_nbytes, only_nbytes, asked_nbytes, kept_nbytes
        Of the full-size job's messages: a sketch, a sketch without a second round, exact values
        that are asked for, and those that are used.
    """

    sketch: CountSketch
    kept: int
    asked: int
    vectors: Indices
    matrices: Indices
    table_nbytes: float
    only_nbytes: float
    asked_nbytes: float
    kept_nbytes: float

    def candidates(self, waiting: Sequence[Params]) -> Sparse:
        """Coordinates that are large in the sum of all vectors by its sketch, with estimates.

        A sketch of the sum is the sum of the sketches, so one is made instead of many.
        """
        summed = total(iter(waiting))[0]
        estimates = self.sketch.estimates(self.sketch.insert(summed[self.matrices]))
        chosen = top_k(estimates, self.asked)
        return Sparse(self.matrices[chosen], estimates[chosen])

    def exact(self, candidates: Sparse, rate: float, waiting: Sequence[Params]) -> Step:
        """The step of the largest of the *candidates*, by the exact sums of all vectors."""
        summed = total(iter(waiting))[0]
        chosen = top_k(summed[candidates.indices], self.kept)
        indices = candidates.indices[chosen]
        return self.step(Sparse(indices, summed[indices]), summed, rate / len(waiting))

    def estimated(self, rate: float, waiting: Sequence[Params]) -> Step:
        """The step of the candidates by their estimates, without a second round."""
        candidates = self.candidates(waiting)
        return self.step(candidates, total(iter(waiting))[0], rate / len(waiting))

    def step(self, sums: Sparse, summed: Params, scale: float) -> Step:
        """What the parameters move by: minus *scale* times sums, and those of biases."""
        change = np.zeros(len(summed))
        change[sums.indices] = -scale * sums.values
        change[self.vectors] = -scale * summed[self.vectors]
        return Step(sums, frozen(change))


def selection(
    cluster: Cluster, rows: int, size: float, kept: int | None, density: float, extra: int
) -> Selection:
    """A sketch of the share *size* of a vector, from which *extra* times k are asked for."""
    job = cluster.job
    inside = np.zeros(len(job.start), bool)
    for start, n, p in job.model.shapes:
        inside[start : start + n * p] = True
    if not inside.any():  # a model of vectors only
        inside[:] = True
    matrices, vectors = np.flatnonzero(inside), np.flatnonzero(~inside)
    k = min(number_kept(kept, density, len(job.start)), len(matrices))
    asked = min(extra * k, len(matrices))
    columns = max(1, round(size * len(job.start) / rows))
    rng = cluster.streams.get("sketch")
    # The shares are those of the small model; the sketch's is as it was asked for.
    dense, share = cluster.nbytes, 1 / len(job.start)
    vectors_nbytes = vector_nbytes(cluster)
    return Selection(
        count_sketch(rows, columns, len(matrices), rng),
        k,
        asked,
        vectors,
        matrices,
        size * dense,
        size * dense + vectors_nbytes,
        asked * share * dense + vectors_nbytes,
        k * share * dense + vectors_nbytes,
    )
