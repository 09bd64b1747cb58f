"""Count-Sketch: a table of signed sums from which large entries can be estimated.

Source: Charikar, Chen and Farach-Colton, "Finding frequent items in data streams", 2002, with
hash functions as in CSVec, the sketch of Sketched-SGD (Ivkin et al., NeurIPS 2019).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.learning.compressors.topk import Array

PRIME = 2**61 - 1  # reducing by a Mersenne prime takes no division
_LIMIT = 2**31  # coordinates and buckets are less than this
_PART = 1 << 16  # coordinates at a time: few enough for the cache, enough to change rows seldom
_PIECE = 1 << 13  # the same for the estimates
# Numbers in a stack from which on the compiled loops pay: also for importing numba, or
# if that has been done.
_PAYS, _PAYS_IMPORTED = 1 << 20, 1 << 16

Table = NDArray[np.float64]
Uints = NDArray[np.uint64]


@dataclass(frozen=True, eq=False)
class CountSketch:
    """Where every coordinate goes in a table of some rows and columns, and with which sign.

    Sketches are linear: the sum of tables is the table of the sum.

    Attributes
    ----------
    columns
        Buckets per row.
    buckets
        Of every coordinate in every row, shape (rows, size).
    signs
        1 or -1, shape (rows, size).
    """

    columns: int
    buckets: NDArray[np.int32]
    signs: NDArray[np.int8]

    @property
    def rows(self) -> int:
        return len(self.buckets)

    @property
    def size(self) -> int:
        return len(self.buckets[0])

    def insert(self, vectors: Array) -> Table:
        """Table of a vector (size,), or tables of a stack (W, size).

        Sums are made in float64 and in the order of the coordinates, whatever the way.

        Returns
        -------
        Shape (rows, columns) or (W, rows, columns).
        """
        stack = np.atleast_2d(vectors)
        if stack.dtype != np.float32:
            stack = stack.astype(np.float64, copy=False)
        tables = np.zeros((len(stack), self.rows, self.columns))
        pays = _PAYS_IMPORTED if "numba" in sys.modules else _PAYS
        if len(stack) > 1 and stack.size >= pays:
            self._insert_compiled(stack, tables)
        else:
            self._insert_plain(stack, tables)
        return tables.reshape(*vectors.shape[:-1], self.rows, self.columns)

    def _insert_plain(self, stack: Array, tables: Table) -> None:
        for row in range(self.rows):
            # `add.at` is slow unless it is given just these types.
            buckets, signs = self.buckets[row].astype(np.intp), self.signs[row].astype(np.float64)
            for table, vector in zip(tables, stack, strict=True):
                np.add.at(table[row], buckets, signs * vector)

    def _insert_compiled(self, stack: Array, tables: Table) -> None:
        from simulator.learning.compressors.loops import LANES, insert

        part = _aligned((min(_PART, self.size), LANES), stack.dtype)
        sums = _aligned((self.rows, self.columns, LANES), np.float64)
        insert(np.ascontiguousarray(stack), self.buckets, self.signs, tables, part, sums)

    def estimates(self, table: Table) -> NDArray[np.float64]:
        """Estimate of every coordinate: the median over rows of its bucket times its sign.

        Parameters
        ----------
        table
            Shape (rows, columns).

        Returns
        -------
        Shape (size,).
        """
        found = np.empty(self.size)
        for start in range(0, self.size, _PIECE):
            piece = slice(start, start + _PIECE)
            values = [
                table[row].take(self.buckets[row, piece]) * self.signs[row, piece]
                for row in range(self.rows)
            ]
            found[piece] = _median(values)
        return found

    def norm(self, table: Table) -> float:
        """Estimate of the Euclidean norm, from the median over rows of the sum of squares."""
        return float(np.sqrt(np.median(np.square(table).sum(1))))


def count_sketch(
    rows: int, columns: int, size: int, rng: np.random.Generator, injective: bool = False
) -> CountSketch:
    """Draw the hash functions of a sketch.

    Coordinate x goes to bucket ``((h1 * x + h2) mod P) mod columns`` with P = 2**61 - 1;
    its sign is that of the parity of a random polynomial of degree 3 mod P.

    Parameters
    ----------
    rows, columns
        Of the table.
    size
        Of the vectors.
    rng
        Whoever has the same stream has the same sketch.
    injective
        Every coordinate has buckets of its own, so estimates are exact; for tests.

    >>> sketch = count_sketch(3, 8, 5, np.random.default_rng(0), injective=True)
    >>> sketch.estimates(sketch.insert(np.array([3.0, 0.0, -1.0, 0.0, 2.0]))).tolist()
    [3.0, 0.0, -1.0, 0.0, 2.0]
    """
    if not (rows > 0 and 0 < columns < _LIMIT and 0 <= size < _LIMIT):
        raise ValueError(f"no sketch of {size} numbers has {rows} rows and {columns} columns")
    if injective and columns < size:
        raise ValueError(f"{columns} columns cannot give {size} coordinates a bucket each")
    coefficients = rng.integers(PRIME, size=(rows, 6), dtype=np.uint64)
    places = np.arange(size, dtype=np.uint64)
    buckets = np.empty((rows, size), np.int32)
    signs = np.empty((rows, size), np.int8)
    for row, drawn in enumerate(coefficients):
        buckets[row] = polynomial(drawn[:2], places) % np.uint64(columns)
        signs[row] = 2 * (polynomial(drawn[2:], places) % np.uint64(2)).astype(np.int8) - 1
    if injective:
        for row in range(rows):
            buckets[row] = rng.permutation(columns)[:size]
    return CountSketch(columns, buckets, signs)


def polynomial(coefficients: Uints, x: Uints) -> Uints:
    """Value mod 2**61 - 1 of the polynomial at every *x* < 2**31, highest coefficient first.

    >>> int(polynomial(np.array([PRIME - 1, 5], np.uint64), np.array([7], np.uint64))[0]) - PRIME
    -2
    """
    value = np.full(x.shape, coefficients[0])
    for coefficient in coefficients[1:]:
        value = _reduced(_product(value, x) + coefficient)
    return value


def _product(a: Uints, x: Uints) -> Uints:
    """``a * x`` mod P for a < 2**61 and x < 2**31, less than 2**62 + 2**31: no step overflows.

    a is split as ``high * 2**30 + low``.  2**61 is 1 mod P, so what lies above bit 61 of
    ``high * x * 2**30`` counts as if it began at bit 0.
    """
    high, low = a >> np.uint64(30), a & np.uint64(2**30 - 1)
    upper = high * x
    turned = (upper >> np.uint64(31)) + ((upper & np.uint64(2**31 - 1)) << np.uint64(30))
    product: Uints = turned + low * x
    return product


def _reduced(value: Uints) -> Uints:
    """*value* mod P."""
    folded = (value & np.uint64(PRIME)) + (value >> np.uint64(61))
    return np.where(folded >= PRIME, folded - np.uint64(PRIME), folded)


def _median(rows: list[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Median of as many numbers as there are *rows*, for every place; numpy's is slow on few.

    The rows are sorted by comparing neighbours (odd-even transposition).
    """
    count = len(rows)
    for turn in range(count):
        for i in range(turn % 2, count - 1, 2):
            one, other = rows[i], rows[i + 1]
            rows[i], rows[i + 1] = np.minimum(one, other), np.maximum(one, other)
    return rows[count // 2] if count % 2 else (rows[count // 2 - 1] + rows[count // 2]) / 2


def _aligned(shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    """Zeros that begin with a cache line, so that `LANES` float64 are one and not two."""
    nbytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(nbytes + 64, np.uint8)
    start = -memory.ctypes.data % 64
    made: NDArray[Any] = memory[start : start + nbytes].view(dtype).reshape(shape)
    return made
