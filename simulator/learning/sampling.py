"""Sampling: the endless sequence of samples that one worker reads."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_REFILL = 1024  # sample numbers drawn ahead at the least


def minibatches(
    shard: NDArray[np.int64], batch_size: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int32]]:
    """Read a shard pass by pass, reshuffled for each (as PyTorch's DistributedSampler).

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

    Yields
    ------
    Sample numbers of the next mini-batch, shape (batch_size,).

    >>> sequence = minibatches(np.arange(4), 3, np.random.default_rng(0))
    >>> first = [*next(sequence).tolist(), *next(sequence).tolist()]
    >>> sorted(first[:4])
    [0, 1, 2, 3]
    """
    own = shard.astype(np.int32)
    passes = np.broadcast_to(own, (max(1, -(-_REFILL // len(own))), len(own)))
    ahead = own[:0]
    while True:
        ahead = np.concatenate([ahead, rng.permuted(passes, axis=1).reshape(-1)])
        whole = len(ahead) - len(ahead) % batch_size
        yield from ahead[:whole].reshape(-1, batch_size)
        ahead = ahead[whole:]
