"""Sampling: the endless sequence of mini-batches that one worker reads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

_REFILL = 2048  # sample numbers drawn ahead at the least

Samples = NDArray[np.int32]  # numbers of training samples
Weights = NDArray[np.floating[Any]]  # of each in the mean, adding up to 1
Minibatch = tuple[Samples, Weights | None]  # no weights: every sample counts the same


def distinct_samples(shards: list[NDArray[np.int64]], batch_size: int) -> int:
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
        Sample numbers to give per batch, `distinct_samples` of all' shards; None for *batch_size*.
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
    few = rows if rows is not None and rows < batch_size else 0
    if few:
        # Places in the shard are drawn; a smaller shard is filled up with samples of weight 0.
        samples, own = np.resize(own, few), np.arange(len(own), dtype=np.int32)
    passes = np.broadcast_to(own, (-(-_REFILL // len(own)), len(own)))
    ahead = own[:0]
    while True:
        drawn = np.concatenate([ahead, rng.permuted(passes, axis=1).reshape(-1)])
        whole = len(drawn) - len(drawn) % batch_size
        ahead, block = drawn[whole:].copy(), drawn[:whole].reshape(-1, batch_size)
        if few:
            weights = _shares(block, few).astype(dtype)
            del drawn, block  # the weights are much smaller
            yield from zip(repeat(samples), weights, strict=False)
        else:
            yield from zip(block, repeat(None), strict=False)


def _shares(block: Samples, rows: int) -> NDArray[np.float64]:
    """How much of every batch each place has; (batches, batch_size) -> (batches, rows)."""
    batches, batch_size = block.shape
    places = block + rows * np.arange(batches)[:, None]
    counts = np.bincount(places.reshape(-1), minlength=rows * batches)
    shares: NDArray[np.float64] = counts.reshape(batches, rows) / batch_size
    return shares


def padded(
    batches: Iterator[Minibatch], size: int, rows: int, share: float, dtype: Any
) -> Iterator[Minibatch]:
    """Mini-batches of *size* samples as ones of *rows*, filled up with samples of weight 0.

    The weights add up to *share*: what the gradient of such a batch counts beside others.

    >>> samples, weights = next(padded(iter([(np.arange(2), None)]), 2, 3, 0.5, float))
    >>> samples.tolist(), weights.tolist()
    ([0, 1, 0], [0.25, 0.25, 0.0])
    """
    weights = np.zeros(rows, dtype)
    weights[:size] = share / size
    for samples, _ in batches:
        yield np.resize(samples, rows), weights
