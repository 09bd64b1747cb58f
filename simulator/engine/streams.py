"""Independent random streams, named by purpose and index."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Streams:
    """All randomness of one run, derived from one *seed*.

    A stream depends only on the seed, its purpose and its index, so adding a
    worker or another source of noise leaves every other stream as it was, and two
    scenarios that differ in one setting share all other randomness.

    >>> a = Streams(7).get("noise", 3).random()
    >>> s = Streams(7); _ = s.get("data", 0).random()
    >>> s.get("noise", 3).random() == a
    True
    """

    seed: int

    def get(self, purpose: str, *index: int) -> np.random.Generator:
        """The generator for *purpose* and *index*, at its beginning."""
        key = (zlib.crc32(purpose.encode()), *index)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))
