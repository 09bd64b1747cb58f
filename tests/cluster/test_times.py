"""Random times and stragglers: their distributions, their order and who is slow."""

import math

import numpy as np
import pytest

from simulator.cluster import DURATIONS, NOISES, STRAGGLERS, ComputeModel, Workload
from simulator.cluster.randomtimes import (
    Gamma,
    GammaNoise,
    Lognormal,
    LognormalNoise,
    NoNoise,
    ShiftedExponential,
    ShiftedExponentialNoise,
    drawn_ahead,
)
from simulator.cluster.stragglers import SlowWorkers
from simulator.engine import Streams
from simulator.errors import InvalidInput

MANY = 100_000


def draws(source):
    return source.draw(np.random.default_rng(7), MANY)


@pytest.mark.parametrize(
    "noise", [NoNoise(), LognormalNoise(0.5), GammaNoise(0.4), ShiftedExponentialNoise(0.3)]
)
def test_noise_has_mean_one(noise):
    """Within four standard errors (E11)."""
    x = draws(noise)
    assert abs(x.mean() - 1) <= 4 * x.std() / math.sqrt(MANY)
    assert (x > 0).all()


def test_distributions_have_the_shape_they_promise():
    """Kolmogorov-Smirnov against scipy (E11)."""
    from scipy import stats

    for source, law in [
        (LognormalNoise(0.5), stats.lognorm(0.5, scale=math.exp(-0.125))),
        (GammaNoise(0.4), stats.gamma(1 / 0.16, scale=0.16)),
        (ShiftedExponentialNoise(0.3), stats.expon(0.7, 0.3)),
        (Lognormal(2.0, 0.7), stats.lognorm(0.7, scale=2.0)),
        (Gamma(3.0, 0.5), stats.gamma(4, scale=0.75)),
        (ShiftedExponential(1.0, 0.5), stats.expon(1.0, 0.5)),
    ]:
        assert stats.kstest(draws(source), law.cdf).pvalue > 0.001, source
    assert set(NOISES) == {"none", "lognormal", "gamma", "shifted-exponential"}
    assert set(DURATIONS) == {"constant", "lognormal", "gamma", "shifted-exponential"}


def test_draws_come_in_order_across_blocks():
    ahead = drawn_ahead(LognormalNoise(0.5), np.random.default_rng(1))
    rng = np.random.default_rng(1)
    expected = LognormalNoise(0.5).draw(rng, 400)
    assert [next(ahead) for _ in range(400)] == expected.tolist()


def test_one_worker_more_changes_nobody_elses_times():
    def times(workers):
        model = ComputeModel(Workload(noise=LognormalNoise(0.5)), [], workers, Streams(3))
        return [[model.seconds(rank, step, 0.0) for step in range(5)] for rank in range(3)]

    assert times(3) == times(50)


@pytest.mark.parametrize(
    ("choice", "slow"),
    [
        ({"workers": (1, 3)}, 2),
        ({"count": 3}, 3),
        ({"fraction": 0.25}, 2),
        ({"fraction": 0.01}, 1),
        ({"fraction": 0.0}, 0),
        ({"count": 0}, 0),
    ],
)
def test_slow_workers(choice, slow):
    model = SlowWorkers(factor=2.0, **choice)
    model.check(8, 2)
    factor = model.bind(8, Streams(0))
    assert [factor(rank, 5, 1.0) for rank in range(8)].count(2.0) == slow
    if "workers" in choice:
        assert factor(1, 0, 0.0) == factor(3, 0, 0.0) == 2.0


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({}, "exactly one of workers, count, fraction; given: none"),
        ({"count": 1, "fraction": 0.5}, "given: count, fraction"),
        ({"workers": (2, 8)}, "no worker 8; the 8 workers are 0..7"),
        ({"count": 9}, "only 8 workers"),
    ],
)
def test_slow_workers_that_do_not_exist(choice, message):
    with pytest.raises(InvalidInput, match=message):
        SlowWorkers(**choice).check(8, 2)
    assert set(STRAGGLERS.values()) == {SlowWorkers}
