"""Compiled loops of the sketches; imported only if there is much to do."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.compiling import packed

LANES = 8  # vectors that are inserted side by side: as many float64 as a cache line holds
_GIVEN = "Array({}, 2, 'C', readonly=True)"
_SIGNATURE = "void({}, {}, {}, float64[:,:,::1], {}[:,::1], float64[:,:,::1])"
_BOTH = [
    _SIGNATURE.format(_GIVEN.format(kind), _GIVEN.format("int32"), _GIVEN.format("int8"), kind)
    for kind in ("float32", "float64")
]


@packed(*_BOTH)
def insert(
    vectors: NDArray[np.floating[Any]],
    buckets: NDArray[np.int32],
    signs: NDArray[np.int8],
    tables: NDArray[np.float64],
    part: NDArray[np.floating[Any]],
    sums: NDArray[np.float64],
) -> None:
    """Count-Sketches of *vectors* (W, size) into *tables* (W, rows, columns), `LANES` at a time.

    A part of `LANES` vectors is written into *part* (length, LANES) side by side, so that a
    bucket of *sums* (rows, columns, LANES) is found once for all of them; and one row after
    the other is done for the whole part, because its sums then stay near the processor.
    """
    count, size = vectors.shape
    rows, columns = tables.shape[1:]
    length = len(part)
    for first in range(0, count, LANES):
        lanes = min(LANES, count - first)
        sums[:] = 0.0
        for start in range(0, size, length):
            here = min(length, size - start)
            if lanes == LANES:
                for i in range(here):
                    at = start + i
                    a, b = vectors[first, at], vectors[first + 1, at]
                    c, d = vectors[first + 2, at], vectors[first + 3, at]
                    e, f = vectors[first + 4, at], vectors[first + 5, at]
                    g, h = vectors[first + 6, at], vectors[first + 7, at]
                    part[i, 0], part[i, 1], part[i, 2], part[i, 3] = a, b, c, d
                    part[i, 4], part[i, 5], part[i, 6], part[i, 7] = e, f, g, h
            else:
                for lane in range(lanes):
                    for i in range(here):
                        part[i, lane] = vectors[first + lane, start + i]
            for row in range(rows):
                for i in range(here):
                    to, sign = buckets[row, start + i], np.float64(signs[row, start + i])
                    s0 = sums[row, to, 0] + sign * part[i, 0]
                    s1 = sums[row, to, 1] + sign * part[i, 1]
                    s2 = sums[row, to, 2] + sign * part[i, 2]
                    s3 = sums[row, to, 3] + sign * part[i, 3]
                    s4 = sums[row, to, 4] + sign * part[i, 4]
                    s5 = sums[row, to, 5] + sign * part[i, 5]
                    s6 = sums[row, to, 6] + sign * part[i, 6]
                    s7 = sums[row, to, 7] + sign * part[i, 7]
                    sums[row, to, 0], sums[row, to, 1] = s0, s1
                    sums[row, to, 2], sums[row, to, 3] = s2, s3
                    sums[row, to, 4], sums[row, to, 5] = s4, s5
                    sums[row, to, 6], sums[row, to, 7] = s6, s7
        for lane in range(lanes):
            for row in range(rows):
                for to in range(columns):
                    tables[first + lane, row, to] = sums[row, to, lane]
