"""Sampling: the endless sequence of mini-batches that one worker reads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

_REFILL = 1024  # sample numbers drawn ahead at the least

Samples = NDArray[np.int32]  # numbers of training samples
Weights = NDArray[np.floating[Any]]  # of each in the mean, adding up to 1
Minibatch = tuple[Samples, Weights | None]  # no weights: every sample counts the same


def rows(shards: list[NDArray[np.int64]], batch_size: int) -> int:
    """Different samples that a mini-batch of any of *shards* can hold at the most."""
    return min(batch_size, max(map(len, shards)))


def minibatches(
    shard: NDArray[np.int64],
    batch_size: int,
    rng: np.random.Generator,
    rows: int | None = None,
    dtype: Any = np.float64,
) -> Iterator[Minibatch]:
    """Read a shard pass by pass, reshuffled for each (as PyTorch's DistributedSampler).

    The passes form one sequence, so a batch may span two of them and a shard may be
    smaller than a batch.  If all shards are, *rows* says so, and a batch names every
    sample of its shard once, with its share of the batch as weight: what stands in a
    batch several times need not be computed several times.

    Parameters
    ----------
    shard
        Sample numbers that the worker owns.
    batch_size
        Samples per mini-batch.
    rng
        The worker's own stream.
    rows
        Sample numbers to give per batch, `rows` of all workers' shards; None for *batch_size*.
    dtype
        Of the weights.

    Yields
    ------
    Sample numbers of the next mini-batch, shape (rows,), and their weights, if they differ.

    >>> sequence = minibatches(np.arange(4), 3, np.random.default_rng(0))
    >>> first = [*next(sequence)[0].tolist(), *next(sequence)[0].tolist()]
    >>> sorted(first[:4])
    [0, 1, 2, 3]
    >>> samples, weights = next(minibatches(np.arange(4), 8, np.random.default_rng(0), 4))
    >>> samples.tolist(), weights.tolist()
    ([0, 1, 2, 3], [0.25, 0.25, 0.25, 0.25])
    """
    own = shard.astype(np.int32)
    if rows is None or rows == batch_size:
        for block in _blocks(own, batch_size, rng):
            yield from zip(block, repeat(None), strict=False)
    else:
        samples = np.resize(own, rows)  # a smaller shard is filled up with samples of weight 0
        for block in _blocks(np.arange(len(own)), batch_size, rng):
            places = block + rows * np.arange(len(block))[:, None]
            counts = np.bincount(places.reshape(-1), minlength=rows * len(block))
            weights = (counts / batch_size).astype(dtype).reshape(-1, rows)
            yield from zip(repeat(samples), weights, strict=False)


def _blocks(
    shard: NDArray[Any], batch_size: int, rng: np.random.Generator
) -> Iterator[NDArray[Any]]:
    """Many batches at a time, shape (batches, batch_size)."""
    passes = np.broadcast_to(shard, (max(1, -(-_REFILL // len(shard))), len(shard)))
    ahead = shard[:0]
    while True:
        ahead = np.concatenate([ahead, rng.permuted(passes, axis=1).reshape(-1)])
        whole = len(ahead) - len(ahead) % batch_size
        yield ahead[:whole].reshape(-1, batch_size)
        ahead = ahead[whole:]
