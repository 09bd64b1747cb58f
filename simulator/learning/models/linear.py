"""Problems with a known optimum: least squares and a separable quadratic."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.learning.data import Data
from simulator.learning.models.base import MODELS, Array, Labels, Shape


class LinearRegression:
    """Half the mean squared error of ``x @ w``; the optimum solves the normal equations."""

    shapes: tuple[Shape, ...] = ()  # one vector

    def __init__(self, features: int, dtype: Any):
        self.size, self.dtype = features, np.dtype(dtype)

    def initial(self, rng: np.random.Generator) -> Array:
        del rng  # a convex problem starts at zero
        return np.zeros(self.size, self.dtype)

    def gradients(
        self, params: Array, x: Array, y: Labels, weights: Array | None = None
    ) -> tuple[Array, Array]:
        error = np.matmul(x, params[:, :, None])[:, :, 0] - y
        share = self.dtype.type(1 / x.shape[1]) if weights is None else weights
        shared = error * share
        grad = np.matmul(x.swapaxes(1, 2), shared[:, :, None])[:, :, 0]
        return (error * shared).sum(1) / 2, grad

    def evaluate(self, params: Array, x: Array, y: Labels) -> tuple[float, float]:
        error = x @ params - y
        return float((error * error).mean() / 2), float("nan")

    def optimum(self, x: Array, y: Labels) -> NDArray[np.float64]:
        """Parameters of least loss on the data, by an orthogonal factorisation in float64."""
        best: NDArray[np.float64] = np.linalg.lstsq(
            x.astype(np.float64), y.astype(np.float64), rcond=None
        )[0]
        return best


class SeparableQuadratic:
    """Loss ``mean_b sum_j a_j (w_j - x_bj)^2 / 2``; the optimum is the mean of the data."""

    shapes: tuple[Shape, ...] = ()  # one vector

    def __init__(self, features: int, condition: float, dtype: Any):
        self.size, self.dtype = features, np.dtype(dtype)
        self.curvature = np.geomspace(1.0, 1.0 / condition, features).astype(dtype)

    def initial(self, rng: np.random.Generator) -> Array:
        return rng.normal(0, 3.0, self.size).astype(self.dtype)

    def gradients(
        self, params: Array, x: Array, y: Labels, weights: Array | None = None
    ) -> tuple[Array, Array]:
        del y  # the data are the centres
        offset = params[:, None, :] - x
        losses = (self.curvature * offset * offset).sum(-1)
        if weights is None:
            return losses.mean(1) / 2, self.curvature * offset.mean(1)
        mean = np.matmul(weights[:, None, :], offset)[:, 0]
        return (losses * weights).sum(1) / 2, self.curvature * mean

    def evaluate(self, params: Array, x: Array, y: Labels) -> tuple[float, float]:
        return float(self.gradients(params[None], x[None], y[None])[0][0]), float("nan")

    def optimum(self, x: Array, y: Labels) -> NDArray[np.float64]:
        """Parameters of least loss on the data."""
        del y
        mean: NDArray[np.float64] = x.astype(np.float64).mean(0)
        return mean


def _regression(data: Data, model: str) -> None:
    if data.classes is not None:
        raise DataError(
            f"{data.name} has classes; {model} needs numbers to predict "
            "(try dataset: regression, or model: mlp)"
        )


@MODELS.register("least-squares")
@dataclass(frozen=True)
class LeastSquares:
    """Linear regression with squared error."""

    def for_data(self, data: Data) -> LinearRegression:
        _regression(data, "least-squares")
        return LinearRegression(data.features, data.dtype)


@MODELS.register("quadratic")
@dataclass(frozen=True)
class Quadratic:
    """Separable quadratic around the data; curvatures span `condition`."""

    condition: Annotated[float, Ge(1)] = 10.0

    def for_data(self, data: Data) -> SeparableQuadratic:
        _regression(data, "quadratic")
        return SeparableQuadratic(data.features, self.condition, data.dtype)
