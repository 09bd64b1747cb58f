"""Sampling: the endless sequence of samples that one worker reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_REFILL = 512  # sample numbers drawn ahead at the least


class Sampler:
    """Reads a shard pass by pass, reshuffled for each (as PyTorch's DistributedSampler).

    The passes form one sequence, so a batch may span two of them and a shard may be
    smaller than a batch.

    Parameters
    ----------
    shard
        Sample numbers that the worker owns.
    batch_size
        Samples per mini-batch.
    rng
        The worker's own stream.

    >>> sampler = Sampler(np.arange(4), 3, np.random.default_rng(0))
    >>> first = [*sampler.next().tolist(), *sampler.next().tolist()]
    >>> sorted(first[:4])
    [0, 1, 2, 3]
    """

    def __init__(self, shard: NDArray[np.int64], batch_size: int, rng: np.random.Generator):
        self._shard, self._batch, self._rng = shard.astype(np.int32), batch_size, rng
        self._passes = max(1, _REFILL // len(shard))
        self._ahead = np.empty(0, np.int32)
        self._at = 0

    def next(self) -> NDArray[np.int32]:
        """Sample numbers of the next mini-batch, shape (batch_size,)."""
        end = self._at + self._batch
        while end > len(self._ahead):
            passes = np.tile(self._shard, (self._passes, 1))
            fresh = self._rng.permuted(passes, axis=1).reshape(-1)
            self._ahead = np.concatenate([self._ahead[self._at :], fresh])
            end, self._at = end - self._at, 0
        batch = self._ahead[self._at : end]
        self._at = end
        return batch
