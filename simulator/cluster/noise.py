"""Noise: factors of mean 1 by which steps are longer or shorter than they should be."""

from __future__ import annotations

from abc import ABC, abstractmethod
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from simulator.cluster.recorded import read_values
from simulator.registry import Registry

Draws = NDArray[np.float64]
BLOCK = 128


@dataclass(frozen=True, kw_only=True)
class Noise(ABC):
    """A distribution of factors with mean 1.

    `common` says whether every worker has factors of its own or those of a host share
    them, step by step.  `correlation` r makes slow steps follow slow steps: the factors are
    those of a Gaussian AR(1) process z_t = r z_(t-1) + sqrt(1 - r^2) e_t, each taken to the
    same quantile of this distribution, which stays what it is.
    """

    common: Literal["worker", "host"] = "worker"
    correlation: Annotated[float, Ge(0), Lt(1)] = 0.0

    @abstractmethod
    def quantile(self, normal: Draws) -> Draws:
        """Factors at the quantiles of standard normal values, shape (n,) to (n,)."""

    def draw(self, rng: np.random.Generator, count: int) -> Draws:
        """*count* independent factors."""
        return self.quantile(rng.standard_normal(count))


NOISES: Registry[Noise] = Registry("noise")


def factors(noise: Noise, rng: np.random.Generator) -> Iterator[float]:
    """Factor after factor; the i-th belongs to the i-th step.

    Drawing block by block is 15 times cheaper than one by one.
    """
    kept, before = noise.correlation, None
    fresh = np.sqrt(1 - kept**2)
    while True:
        if not kept:
            block = noise.draw(rng, BLOCK)
        else:
            normal = rng.standard_normal(BLOCK)
            for at in range(BLOCK):
                if before is not None:
                    normal[at] = kept * before + fresh * normal[at]
                before = float(normal[at])
            block = noise.quantile(normal)
        yield from array("d", np.asarray(block, float).tobytes())


@NOISES.register("none")
@dataclass(frozen=True, kw_only=True)
class NoNoise(Noise):
    """Every step takes the same time."""

    def quantile(self, normal: Draws) -> Draws:
        return np.ones(len(normal))


@NOISES.register("lognormal")
@dataclass(frozen=True, kw_only=True)
class LognormalNoise(Noise):
    """Log-normal factor of mean 1; `sigma` is the deviation of its logarithm.

    >>> noise = LognormalNoise(sigma=0.3)
    >>> float(noise.draw(np.random.default_rng(0), 100_000).mean().round(2))
    1.0
    """

    sigma: Annotated[float, Ge(0), Le(5)] = 0.1

    def quantile(self, normal: Draws) -> Draws:
        return np.exp(self.sigma * normal - self.sigma**2 / 2)


@NOISES.register("gamma")
@dataclass(frozen=True, kw_only=True)
class GammaNoise(Noise):
    """Gamma factor of mean 1 and coefficient of variation `cv`."""

    cv: Annotated[float, Gt(0), Le(10)] = 0.1

    def quantile(self, normal: Draws) -> Draws:
        from scipy.special import gammaincinv

        shape = 1 / self.cv**2
        return np.asarray(gammaincinv(shape, _probability(normal))) / shape

    def draw(self, rng: np.random.Generator, count: int) -> Draws:
        return rng.gamma(1 / self.cv**2, self.cv**2, count)


@NOISES.register("shifted-exponential")
@dataclass(frozen=True, kw_only=True)
class ShiftedExponentialNoise(Noise):
    """Factor ``1 - share + share * E`` with E exponential of mean 1."""

    share: Annotated[float, Ge(0), Le(1)] = 0.2

    def quantile(self, normal: Draws) -> Draws:
        return 1 - self.share - self.share * np.log(_probability(-normal))

    def draw(self, rng: np.random.Generator, count: int) -> Draws:
        return 1 - self.share + self.share * rng.exponential(size=count)


@NOISES.register("pareto")
@dataclass(frozen=True, kw_only=True)
class ParetoNoise(Noise):
    """Factor ``1 - share + share * P`` with P a Pareto variable of mean 1 and exponent `tail`.

    The chance of a step x times as long falls as x to the power -tail; of 2 or less the
    variance is infinite.
    """

    share: Annotated[float, Ge(0), Le(1)] = 0.2
    tail: Annotated[float, Gt(1), Le(100)] = 2.5

    def quantile(self, normal: Draws) -> Draws:
        least = (self.tail - 1) / self.tail
        pareto = least * _probability(-normal) ** (-1 / self.tail)
        return 1 - self.share + self.share * pareto


@NOISES.register("empirical")
@dataclass(frozen=True, kw_only=True)
class EmpiricalNoise(Noise):
    """Drawn from measured step times: `column` of a CSV file, divided by its mean."""

    path: str
    column: str = "step_time_s"

    def check_file(self) -> None:
        """Refuse a file that cannot be read."""
        assert len(self._factors)

    @cached_property
    def _factors(self) -> Draws:
        values: Draws = np.sort(read_values(self.path, self.column))
        return np.asarray(values / values.mean())

    def quantile(self, normal: Draws) -> Draws:
        values = self._factors
        ranks = (_probability(normal) * len(values)).astype(int)
        drawn: Draws = values[np.minimum(ranks, len(values) - 1)]
        return drawn


def _probability(normal: Draws) -> Draws:
    """Chance of a smaller standard normal value."""
    from scipy.special import ndtr

    chance: Draws = ndtr(normal)
    return chance
