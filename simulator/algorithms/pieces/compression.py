"""What compressing costs, and how many bytes of the full-size job a compressed gradient has.

Algorithms compress the small model's real vectors.  Their messages are those of the
full-size job: its dense bytes in the ratio in which the small vectors shrink, or what its
own shapes give where the ratio would not be the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from simulator.cluster import Cluster
from simulator.cluster.job import Params
from simulator.cluster.workload import BYTES_PER_PARAMETER
from simulator.engine.values import frozen
from simulator.errors import InvalidInput
from simulator.learning.compressors import Sparse, sparse_sum
from simulator.units import Seconds

# Seconds per element of a gradient to select the largest: the compression times of VGG-16,
# ResNet-20, AlexNet and ResNet-50 over their 14.7, 0.27, 61.1 and 25.6 million parameters
# are 6.2, 6.0, 6.3 and 6.0 ns (github.com/hclhkbu/gtopkssgd, commit 6f57343,
# scripts/icdcs2019/communication.py).
SELECTION = 6.1e-9
# The same to add an element to one row of a sketch, or to look it up there.  Not published;
# one thread of a CPU takes 1.1 ns (tests/benchmarks/test_compressors.py).
SKETCHING = 1.1e-9

Density = Annotated[float, Gt(0), Le(1)]
Kept = Annotated[int, Ge(1)] | None
Ratio = Annotated[float, Gt(0)] | None
Cost = Seconds


def check_kept(kept: int | None, parameters: int) -> None:
    """Refuse to keep more than there is.

    Raises
    ------
    InvalidInput
        With the largest number possible.
    """
    if kept is not None and kept > parameters:
        raise InvalidInput(f"k is {kept:,}, but the model has only {parameters:,} parameters")


def number_kept(kept: int | None, density: float, parameters: int) -> int:
    """Coordinates to keep: *kept*, or the share *density* of all, at least one.

    >>> number_kept(None, 0.01, 4810), number_kept(None, 0.01, 20), number_kept(7, 0.01, 20)
    (48, 1, 7)
    """
    return kept if kept is not None else max(1, round(density * parameters))


def sparse_nbytes(cluster: Cluster, kept: int, ratio: float | None) -> float:
    """Bytes of *kept* pairs of index and value, or the share *ratio* of a dense gradient."""
    share = 2 * kept / len(cluster.job.start) if ratio is None else ratio
    return cluster.nbytes * share


def low_rank_nbytes(cluster: Cluster, rank: int, small: float) -> tuple[float, float, float]:
    """Bytes of all left factors, of all right ones, and of what is sent dense.

    Tensors are matrices as PowerSGD sees them: the first dimension and all the others.  Where
    the workload's shapes are not known half the share *small* of its bytes is either.
    """
    shapes = cluster.workload.tensor_shapes()
    if shapes is None:
        return cluster.nbytes * small / 2, cluster.nbytes * small / 2, 0.0
    matrices = [(shape[0], prod(shape[1:])) for shape in shapes]
    worth = [one for one in matrices if min(one) > rank]
    rest = sum(prod(one) for one in matrices if min(one) <= rank)
    factors = (rank * sum(n for n, _ in worth), rank * sum(p for _, p in worth), rest)
    left, right, dense = (BYTES_PER_PARAMETER * float(numbers) for numbers in factors)
    return left, right, dense


def vector_nbytes(cluster: Cluster) -> float:
    """Bytes of biases and of normalisation parameters; 0 where shapes are not known."""
    shapes = cluster.workload.tensor_shapes() or []
    return BYTES_PER_PARAMETER * float(sum(prod(shape) for shape in shapes if len(shape) == 1))


def clipped(grad: Params, most: float | None, workers: int) -> Params:
    """*grad*, no longer than one worker's part of *most*: ``most / sqrt(workers)``."""
    length = float(np.linalg.norm(grad))
    limit = np.inf if most is None else most / np.sqrt(workers)
    return grad * (limit / length) if length > limit else grad


def mean_of_sparse(size: int, workers: int, parts: Sequence[Sparse]) -> Params:
    """What the parameters move by: minus the mean of what was sent, shape (size,)."""
    change: Params = frozen(sparse_sum(parts, size) / -workers)
    return change
