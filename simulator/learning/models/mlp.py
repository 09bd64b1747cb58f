"""Multi-layer perceptron with rectifiers; without hidden layers it is softmax regression."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge

from simulator.errors import DataError
from simulator.learning.data import Data
from simulator.learning.models.base import (
    MODELS,
    Array,
    Labels,
    classified,
    column_sums,
    cross_entropy,
)


class Perceptron:
    """Fully connected layers of the given *widths*, from inputs to classes.

    Parameters are stored layer by layer: weights (in, out) row by row, then biases.

    >>> Perceptron((64, 64, 10), np.float32).size
    4810
    """

    def __init__(self, widths: tuple[int, ...], dtype: Any):
        self.widths, self.dtype = widths, np.dtype(dtype)
        self._slices: list[tuple[int, int, int, int]] = []
        at = 0
        for inputs, outputs in pairwise(widths):
            bias = at + inputs * outputs
            self._slices.append((at, bias, inputs, outputs))
            at = bias + outputs
        self.size = at
        self.shapes = tuple((at, inputs, outputs) for at, _, inputs, outputs in self._slices)

    def initial(self, rng: np.random.Generator) -> Array:
        """He's initialisation: weights normal with variance 2 / inputs, biases zero."""
        params = np.zeros(self.size)
        for at, bias, inputs, _ in self._slices:
            params[at:bias] = rng.normal(0, np.sqrt(2 / inputs), bias - at)
        return params.astype(self.dtype)

    def _layers(self, flat: Array) -> list[tuple[Array, Array]]:
        """Views (weights, biases) of stacked parameters or gradients, layer by layer."""
        stack = len(flat)
        return [
            (
                flat[:, at:bias].reshape(stack, inputs, outputs),
                flat[:, bias : bias + outputs].reshape(stack, 1, outputs),
            )
            for at, bias, inputs, outputs in self._slices
        ]

    def _forward(self, params: Array, x: Array) -> list[Array]:
        """Inputs of every layer, then the logits."""
        layers = self._layers(params)
        values = [x]
        for weights, biases in layers:
            value = np.matmul(values[-1], weights)
            value += biases
            if len(values) < len(layers):
                np.maximum(value, np.zeros(value.shape[-1], value.dtype), out=value)
            values.append(value)
        return values

    def gradients(
        self, params: Array, x: Array, y: Labels, weights: Array | None = None
    ) -> tuple[Array, Array]:
        *values, logits = self._forward(params, x)
        loss, delta = cross_entropy(logits, y, weights)
        grad = np.empty((len(x), self.size), self.dtype)
        layers = self._layers(params)
        for layer, (by_weights, by_biases) in reversed(list(enumerate(self._layers(grad)))):
            np.matmul(values[layer].swapaxes(1, 2), delta, out=by_weights)
            column_sums(delta, by_biases)
            if layer:
                delta = np.matmul(delta, layers[layer][0].swapaxes(1, 2))
                delta *= values[layer] > 0
        return loss, grad

    def evaluate(self, params: Array, x: Array, y: Labels) -> tuple[float, float]:
        return classified(self._forward(params[None], x[None])[-1][0], y)


def _classes(data: Data) -> int:
    if data.classes is None:
        raise DataError(
            f"{data.name} is a regression problem; a classifier needs classes "
            "(try model: least-squares)"
        )
    return data.classes


@MODELS.register("mlp")
@dataclass(frozen=True)
class MLP:
    """Fully connected layers with rectifiers and a softmax at the end."""

    hidden: tuple[Annotated[int, Ge(1)], ...] = (64,)

    def for_data(self, data: Data) -> Perceptron:
        return Perceptron((data.features, *self.hidden, _classes(data)), data.dtype)


@MODELS.register("softmax")
@dataclass(frozen=True)
class Softmax:
    """Softmax (multinomial logistic) regression."""

    def for_data(self, data: Data) -> Perceptron:
        return Perceptron((data.features, _classes(data)), data.dtype)
