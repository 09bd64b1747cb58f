"""What a model is, and the losses that models share."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.learning.data import Data
from simulator.registry import Registry

Array = NDArray[np.floating[Any]]
Labels = NDArray[Any]
Shape = tuple[int, int, int]  # start, rows and columns of a matrix in a flat vector

MODELS: Registry[ModelSettings] = Registry("model")


class Model(Protocol):
    """A model for one data set; parameters are flat vectors of length `size`.

    `gradients` takes parameters of shape (W, size), or (1, size) if all workers share
    them, inputs (W, B, features), targets (W, B) and weights (W, B) that add up to 1 for
    each mini-batch, or None for equal ones; it returns the (weighted) mean loss of each
    mini-batch (W,) and its gradient (W, size).  `evaluate` takes one vector and a whole
    data set and returns the mean loss and the accuracy (nan for regression).  `shapes` says
    where the matrices of weights lie, row by row; biases are outside them.
    """

    size: int
    shapes: tuple[Shape, ...]

    def initial(self, rng: np.random.Generator) -> Array: ...

    def gradients(
        self, params: Array, x: Array, y: Labels, weights: Array | None = None
    ) -> tuple[Array, Array]: ...

    def evaluate(self, params: Array, x: Array, y: Labels) -> tuple[float, float]: ...


class ModelSettings(Protocol):
    """A scenario's `learning.model`: makes the model once the data are known."""

    def for_data(self, data: Data) -> Model: ...


def tensors(shapes: Sequence[Shape], size: int) -> list[slice]:
    """Parts of a flat vector of *size* numbers: its matrices, and what lies between them.

    >>> tensors(((0, 3, 4), (16, 4, 1)), 21)
    [slice(0, 12, None), slice(12, 16, None), slice(16, 20, None), slice(20, 21, None)]
    """
    edges = [0, size]
    for start, rows, columns in shapes:
        edges += [start, start + rows * columns]
    return [slice(first, last) for first, last in pairwise(sorted(edges)) if first < last]


def cross_entropy(logits: Array, y: Labels, weights: Array | None = None) -> tuple[Array, Array]:
    """Mean cross-entropy and its gradient with respect to *logits*, which are overwritten.

    Parameters
    ----------
    logits
        Shape (W, B, classes).
    y
        Class numbers, shape (W, B).
    weights
        Of every sample in the mean, shape (W, B); None if all weigh the same.

    Returns
    -------
    loss, gradient
        Shapes (W,) and (W, B, classes).
    """
    workers, batch, classes = logits.shape
    logits -= largest(logits)
    at = np.arange(0, workers * batch * classes, classes) + y.reshape(-1)
    flat = logits.reshape(-1)
    chosen = flat[at]
    np.exp(logits, out=logits)
    sums = np.matmul(logits, np.ones((classes, 1), logits.dtype))
    losses = (np.log(sums.reshape(-1)) - chosen).reshape(workers, batch)
    logits /= sums
    flat[at] -= 1
    if weights is None:
        logits *= logits.dtype.type(1 / batch)
        return losses.mean(-1), logits
    logits *= weights[:, :, None]
    return (losses * weights).sum(-1), logits


def largest(rows: Array) -> Array:
    """Maximum over the last axis, which is kept; transposed, since numpy is slow on short rows.

    >>> largest(np.array([[3.0, 1.0, 2.0], [7.0, 5.0, 8.0]])).tolist()
    [[3.0], [8.0]]
    """
    columns = np.ascontiguousarray(rows.reshape(-1, rows.shape[-1]).T)
    top: Array = columns.max(0).reshape(*rows.shape[:-1], 1)
    return top


def column_sums(rows: Array, out: Array) -> None:
    """Sum of (W, B, n) over B into *out* (W, 1, n); as a product, which is 5 times faster."""
    np.matmul(np.ones((1, rows.shape[1]), rows.dtype), rows, out=out)


def classified(logits: Array, y: Labels) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of *logits* (n, classes)."""
    correct = float((logits.argmax(-1) == y).mean())
    loss, _ = cross_entropy(logits[None], y[None])
    return float(loss[0]), correct
