"""A small convolutional net for images: convolution, rectifier, mean pooling, softmax."""

from __future__ import annotations

from dataclasses import dataclass
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


class ConvolutionalNet:
    """One layer of k x k filters without padding, 2 x 2 mean pooling, one dense layer.

    Rows and columns that do not fill a pooling window are dropped.
    """

    def __init__(self, image: tuple[int, int], filters: int, kernel: int, classes: int, dtype: Any):
        self.image, self.kernel, self.dtype = image, kernel, np.dtype(dtype)
        self._pooled = tuple((side - kernel + 1) // 2 for side in image)
        inputs = filters * self._pooled[0] * self._pooled[1]
        shapes = ((kernel * kernel, filters), (1, filters), (inputs, classes), (1, classes))
        ends = np.cumsum([rows * columns for rows, columns in shapes]).tolist()
        self._parts = list(zip([0, *ends[:-1]], ends, shapes, strict=True))
        self.size = ends[-1]
        self.shapes = tuple((start, *shape) for start, _, shape in self._parts[::2])

    def initial(self, rng: np.random.Generator) -> Array:
        """He's initialisation: weights normal with variance 2 / inputs, biases zero."""
        params = np.zeros(self.size)
        for start, end, (inputs, _) in self._parts[::2]:
            params[start:end] = rng.normal(0, np.sqrt(2 / inputs), end - start)
        return params.astype(self.dtype)

    def _views(self, flat: Array) -> list[Array]:
        return [flat[:, start:end].reshape(len(flat), *shape) for start, end, shape in self._parts]

    def _patches(self, x: Array) -> Array:
        """Image patches as rows: (W, B * positions, k * k), positions that are pooled only."""
        workers, batch, _ = x.shape
        rows, columns = (2 * side for side in self._pooled)
        images = x.reshape(workers, batch, *self.image)
        windows = np.lib.stride_tricks.sliding_window_view(
            images, (self.kernel, self.kernel), axis=(2, 3)
        )
        used = windows[:, :, :rows, :columns]
        return np.ascontiguousarray(used).reshape(workers, -1, self.kernel * self.kernel)

    def _forward(self, params: Array, x: Array) -> tuple[Array, Array, Array, Array]:
        """Patches, rectified maps (W, B, h, 2, w, 2, filters), pooled features, logits."""
        filters, offsets, weights, biases = self._views(params)
        patches = self._patches(x)
        maps = np.matmul(patches, filters)
        maps += offsets
        np.maximum(maps, 0, out=maps)
        height, width = self._pooled
        maps = maps.reshape(len(x), x.shape[1], height, 2, width, 2, -1)
        pooled = maps.mean((3, 5)).reshape(len(x), x.shape[1], -1)
        logits = np.matmul(pooled, weights)
        logits += biases
        return patches, maps, pooled, logits

    def gradients(
        self, params: Array, x: Array, y: Labels, weights: Array | None = None
    ) -> tuple[Array, Array]:
        patches, maps, pooled, logits = self._forward(params, x)
        loss, delta = cross_entropy(logits, y, weights)
        grad = np.empty((len(x), self.size), self.dtype)
        by_filters, by_offsets, by_weights, by_biases = self._views(grad)
        np.matmul(pooled.swapaxes(1, 2), delta, out=by_weights)
        column_sums(delta, by_biases)
        height, width = self._pooled
        spread = np.matmul(delta, self._views(params)[2].swapaxes(1, 2))
        spread = spread.reshape(len(x), x.shape[1], height, 1, width, 1, -1) / 4
        back = (spread * (maps > 0)).reshape(len(x), patches.shape[1], -1)
        np.matmul(patches.swapaxes(1, 2), back, out=by_filters)
        column_sums(back, by_offsets)
        return loss, grad

    def evaluate(self, params: Array, x: Array, y: Labels) -> tuple[float, float]:
        return classified(self._forward(params[None], x[None])[-1][0], y)


@MODELS.register("cnn")
@dataclass(frozen=True)
class ConvNet:
    """A small convolutional net; the data must be images."""

    filters: Annotated[int, Ge(1)] = 8
    kernel: Annotated[int, Ge(1)] = 3

    def for_data(self, data: Data) -> ConvolutionalNet:
        if data.image is None or data.classes is None:
            raise DataError(
                f"{data.name} has no images; a cnn needs them (digits has, or an npz "
                "with x of shape (n, height, width))"
            )
        if min(data.image) < self.kernel + 1:
            raise DataError(
                f"images of {data.image[0]} x {data.image[1]} pixels are too small for "
                f"kernel {self.kernel}; at most {min(data.image) - 1} fits"
            )
        return ConvolutionalNet(data.image, self.filters, self.kernel, data.classes, data.dtype)
