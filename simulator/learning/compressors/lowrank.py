"""Low-rank factors of the matrices in a flat vector: the linear algebra of PowerSGD.

Source: Vogels, Karimireddy and Jaggi, "PowerSGD: Practical Low-Rank Gradient Compression
for Distributed Optimization", NeurIPS 2019.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.learning.compressors.topk import Array, Indices
from simulator.learning.models.base import Shape


def orthonormal(matrix: Array) -> Array:
    """Orthonormal columns that span those of *matrix* (n, r), n >= r.

    As from the Gram-Schmidt process: column j is a combination of the first j, its own with
    a positive factor.  For a column that depends on earlier ones, any that is orthogonal
    to them takes its place, so there is always something finite.

    >>> orthonormal(np.array([[-2.0, 5.0], [0.0, -1.0]])).tolist()
    [[-1.0, 0.0], [0.0, -1.0]]
    """
    q, r = np.linalg.qr(matrix)
    made: Array = np.where(np.diagonal(r) < 0, -q, q) + 0.0  # no negative zeros
    return made


class LowRank:
    """The matrices of a flat vector that are worth sending as products of two factors.

    A matrix M (n, p) is approximated by ``left @ right.T`` with left (n, rank) and
    right (p, rank); a matrix with no more than *rank* rows or columns is not.

    Parameters
    ----------
    shapes
        (start, rows, columns) of the matrices in the vector.
    size
        Of the vector.
    rank
        Columns of a factor.

    Attributes
    ----------
    shapes
        Of the matrices that are approximated.
    rest
        Indices of all entries outside them.

    >>> model = LowRank(((0, 3, 4), (12, 1, 4)), 16, 1)
    >>> model.shapes, model.rest.tolist(), model.numbers
    (((0, 3, 4),), [12, 13, 14, 15], 7)
    """

    def __init__(self, shapes: Sequence[Shape], size: int, rank: int):
        self.size, self.rank = size, rank
        self.shapes = tuple(shape for shape in shapes if min(shape[1:]) > rank)
        outside = np.ones(size, bool)
        for start, rows, columns in self.shapes:
            outside[start : start + rows * columns] = False
        self.rest: Indices = np.flatnonzero(outside)

    @property
    def numbers(self) -> int:
        """Numbers in all left and right factors."""
        return self.rank * sum(rows + columns for _, rows, columns in self.shapes)

    def matrices(self, vectors: Array) -> list[Array]:
        """Views of *vectors* (size,) or (W, size) as matrices (n, p) or (W, n, p)."""
        ahead = vectors.shape[:-1]
        return [
            vectors[..., start : start + rows * columns].reshape(*ahead, rows, columns)
            for start, rows, columns in self.shapes
        ]

    def start(self, rng: np.random.Generator, dtype: Any = np.float64) -> list[Array]:
        """Normally distributed right factors (p, rank) to begin with."""
        return [
            rng.normal(size=(columns, self.rank)).astype(dtype) for _, _, columns in self.shapes
        ]

    def project(self, vectors: Array, rights: Sequence[Array]) -> list[Array]:
        """Left factors ``M @ right`` of one vector or a stack, (n, rank) or (W, n, rank)."""
        return [m @ right for m, right in zip(self.matrices(vectors), rights, strict=True)]

    def back(self, vectors: Array, lefts: Sequence[Array]) -> list[Array]:
        """Right factors ``M.T @ left`` of one vector or a stack, (p, rank) or (W, p, rank)."""
        return [
            m.swapaxes(-1, -2) @ left for m, left in zip(self.matrices(vectors), lefts, strict=True)
        ]

    def rebuild(
        self, lefts: Sequence[Array], rights: Sequence[Array], dtype: Any = np.float64
    ) -> Array:
        """Vector (size,) of the products ``left @ right.T``, zero outside the matrices."""
        vector: NDArray[Any] = np.zeros(self.size, dtype)
        for place, left, right in zip(self.matrices(vector), lefts, rights, strict=True):
            place[...] = left @ right.T
        return vector
