"""The largest entries of a vector: chosen, sent as pairs, merged and added up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Indices = NDArray[np.int64]


class Sparse(NamedTuple):
    """Some entries of a vector.

    Attributes
    ----------
    indices
        Where they stand, ascending and different, shape (k,).
    values
        What they are, shape (k,).
    """

    indices: Indices
    values: Array


def top_k(values: Array, k: int) -> Indices:
    """Indices of the *k* entries of largest magnitude, ascending; all if there are fewer.

    Of entries of the same magnitude the first count more.  An entry that is no number counts
    as infinite: a run that diverges still sends *k* entries.

    Parameters
    ----------
    values
        Shape (size,).
    k
        How many.

    Returns
    -------
    Shape (min(k, size),).

    >>> top_k(np.array([1.0, -3.0, 2.0, -2.0]), 2).tolist()
    [1, 2]
    """
    if k >= len(values):
        return np.arange(len(values))
    if k < 1:
        return np.zeros(0, np.int64)
    sizes = np.abs(values)
    least = np.partition(sizes, len(sizes) - k)[len(sizes) - k]
    chosen = np.flatnonzero(sizes >= least)
    if len(chosen) < k:  # comparisons with nan are false
        return top_k(np.where(np.isnan(sizes), np.inf, sizes), k)
    if len(chosen) > k:
        tied = np.flatnonzero(sizes[chosen] == least)
        chosen = np.delete(chosen, tied[k - len(chosen) :])
    return chosen


def select(values: Array, k: int) -> Sparse:
    """The *k* entries of largest magnitude.

    >>> select(np.array([1.0, -3.0, 2.0]), 2)
    Sparse(indices=array([1, 2]), values=array([-3.,  2.]))
    """
    indices = top_k(values, k)
    return Sparse(indices, values[indices])


def dense(sparse: Sparse, size: int, dtype: Any) -> Array:
    """Vector of *size* entries, zero where *sparse* has none.

    >>> dense(Sparse(np.array([2]), np.array([5.0])), 4, np.float32).tolist()
    [0.0, 0.0, 5.0, 0.0]
    """
    vector: Array = np.zeros(size, dtype)
    vector[sparse.indices] = sparse.values
    return vector


def without(values: Array, indices: Indices) -> Array:
    """Copy of *values* with zeros at *indices*.

    >>> without(np.array([1.0, 2.0, 3.0]), np.array([0, 2])).tolist()
    [0.0, 2.0, 0.0]
    """
    left = values.copy()
    left[indices] = 0
    return left


def sparse_sum(parts: Sequence[Sparse], size: int) -> NDArray[np.float64]:
    """Sum of the *parts* as a vector of *size* entries, added up in their order.

    >>> part = Sparse(np.array([0, 2]), np.array([1.0, 2.0]))
    >>> sparse_sum([part, part], 3).tolist()
    [2.0, 0.0, 4.0]
    """
    total = np.zeros(size)
    for part in parts:
        total[part.indices] += part.values
    return total


def merge_top_k(one: Sparse, other: Sparse, k: int) -> Sparse:
    """The *k* largest entries of the sum of two: what a rank of gTop-k's tree passes on.

    >>> one = Sparse(np.array([0, 3]), np.array([1.0, 4.0]))
    >>> other = Sparse(np.array([2, 3]), np.array([-2.0, -4.5]))
    >>> merge_top_k(one, other, 2)
    Sparse(indices=array([0, 2]), values=array([ 1., -2.]))
    """
    indices, places = np.unique(np.concatenate([one.indices, other.indices]), return_inverse=True)
    values = np.zeros(len(indices), np.result_type(one.values, other.values))
    values[places[: len(one.indices)]] = one.values
    values[places[len(one.indices) :]] += other.values
    return _largest(Sparse(indices, values), k)


def tree_top_k(parts: Sequence[Sparse], k: int) -> Sparse:
    """What rank 0 of gTop-k holds after merging the *parts* of all ranks in a binomial tree.

    At level l the ranks i with ``i % 2**(l + 1) == 2**l`` send to ``i - 2**l``.  The ranks
    beyond the largest power of two p first send to their partners, p + i to i.  It is not
    the top k of the sum: what one branch drops may be kept by another.

    Source: Shi et al., "A Distributed Synchronous SGD Algorithm with Global Top-k
    Sparsification for Low Bandwidth Networks", ICDCS 2019.

    >>> parts = [Sparse(np.array([i]), np.array([1.0 + i])) for i in range(5)]
    >>> tree_top_k(parts, 1)
    Sparse(indices=array([4]), values=array([5.]))
    """
    held = [_largest(part, k) for part in parts]
    while len(held) > 1:
        power = 1 << (len(held).bit_length() - 1)
        if power < len(held):
            beyond, held = held[power:], held[:power]
            held[: len(beyond)] = [
                merge_top_k(*pair, k) for pair in zip(held, beyond, strict=False)
            ]
        else:
            held = [merge_top_k(*pair, k) for pair in zip(held[::2], held[1::2], strict=True)]
    return held[0]


def _largest(sparse: Sparse, k: int) -> Sparse:
    if len(sparse.indices) <= k:
        return sparse
    chosen = top_k(sparse.values, k)
    return Sparse(sparse.indices[chosen], sparse.values[chosen])
