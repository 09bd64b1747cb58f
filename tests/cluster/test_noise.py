"""Noise: factors of mean 1, their laws, their memory, and who shares them."""

import math
from itertools import islice

import numpy as np
import pytest
from scipy import stats

from simulator.cluster import NOISES, Layout
from simulator.cluster.compute import drawn
from simulator.cluster.noise import (
    EmpiricalNoise,
    GammaNoise,
    LognormalNoise,
    NoNoise,
    ParetoNoise,
    ShiftedExponentialNoise,
    factors,
)
from simulator.engine import Streams
from tests import make

MANY = 100_000
LAWS = {
    LognormalNoise: ({"sigma": 0.5}, stats.lognorm(0.5, scale=math.exp(-0.125))),
    GammaNoise: ({"cv": 0.4}, stats.gamma(1 / 0.16, scale=0.16)),
    ShiftedExponentialNoise: ({"share": 0.3}, stats.expon(0.7, 0.3)),
    ParetoNoise: ({"share": 0.4, "tail": 6.0}, stats.pareto(6, loc=0.6, scale=0.4 * 5 / 6)),
}
every_kind = pytest.mark.parametrize("kind", LAWS)


def sequence(noise, count, seed=7):
    """The first *count* factors."""
    return np.array(list(islice(factors(noise, np.random.default_rng(seed)), count)))


@every_kind
def test_independent_factors_have_their_law_and_mean_one(kind):
    """Mean within four standard errors (E11), Kolmogorov-Smirnov against scipy."""
    settings, law = LAWS[kind]
    x = sequence(kind(**settings), MANY)
    assert abs(x.mean() - 1) <= 4 * x.std() / math.sqrt(MANY)
    assert stats.kstest(x, law.cdf).pvalue > 0.001
    assert law.mean() == pytest.approx(1)


@every_kind
@pytest.mark.parametrize("r", [0.3, 0.8])
def test_correlated_factors_have_the_same_law(kind, r):
    """Those far enough apart are independent: 0.8 to the power 40 is 1e-4."""
    settings, law = LAWS[kind]
    x = sequence(kind(**settings, correlation=r), MANY)
    assert stats.kstest(x[::40], law.cdf).pvalue > 0.001
    # An AR(1) process with r is as good for the mean as (1 - r)/(1 + r) of its values.
    assert abs(x.mean() - 1) <= 4 * x.std() / math.sqrt(MANY * (1 - r) / (1 + r))


@every_kind
@pytest.mark.parametrize("r", [0.3, 0.9])
def test_correlation_falls_with_the_power_of_the_distance(kind, r):
    """Of the Gaussian behind the factors, within three standard errors (Bartlett)."""
    settings, law = LAWS[kind]
    x = sequence(kind(**settings, correlation=r), MANY)
    z = stats.norm.ppf(law.cdf(x))
    for lag in (1, 2, 5, 10):
        found = (z[lag:] * z[:-lag]).mean() / (z * z).mean()
        variance = (1 + r**2) * (1 - r ** (2 * lag)) / (1 - r**2) - 2 * lag * r ** (2 * lag)
        assert abs(found - r**lag) <= 3 * math.sqrt(variance / MANY), lag


def test_the_logarithm_is_an_autoregressive_process():
    """The formula of the docstring, across blocks of draws."""
    r, e = 0.6, np.random.default_rng(2).standard_normal(500)
    z = [e[0]]
    for fresh in e[1:]:
        z.append(r * z[-1] + math.sqrt(1 - r * r) * fresh)
    x = sequence(LognormalNoise(sigma=0.5, correlation=r), 500, seed=2)
    assert np.log(x) == pytest.approx(0.5 * np.array(z) - 0.125)


@every_kind
def test_without_correlation_factors_are_independent_draws(kind):
    settings, _ = LAWS[kind]
    noise = kind(**settings, correlation=0.0)
    assert (sequence(noise, 500) == noise.draw(np.random.default_rng(7), 500)).all()


def test_every_noise_is_tested():
    assert set(NOISES.values()) == {*LAWS, NoNoise, EmpiricalNoise}
    assert sequence(NoNoise(), 300).tolist() == [1.0] * 300


# -- shared by a host --------------------------------------------------------------------

PAIRS = Layout((0, 0, 1, 1), (0, 0, 0, 0))


def of_workers(common, correlation=0.0):
    noise = LognormalNoise(sigma=0.5, common=common, correlation=correlation)
    return drawn(noise, PAIRS, Streams(1))


@pytest.mark.parametrize("correlation", [0.0, 0.7])
def test_workers_of_a_host_share_factors_step_by_step(correlation):
    """Also where one is ahead of the others."""
    first = of_workers("host", correlation)
    ahead = [next(first[0]) for _ in range(300)]
    assert [next(first[1]) for _ in range(300)] == ahead
    other = [next(first[2]) for _ in range(300)]
    assert [next(first[3]) for _ in range(300)] == other
    assert not set(ahead) & set(other)


def test_otherwise_every_worker_has_factors_of_its_own():
    found = [tuple(islice(one, 300)) for one in of_workers("worker")]
    assert len({value for own in found for value in own}) == 1200
    shared = tuple(islice(of_workers("host")[0], 300))
    assert not set(shared) & set(found[0])


# -- measured ----------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path_factory, monkeypatch):
    """A folder with a short name."""
    made = tmp_path_factory.mktemp("f")
    monkeypatch.chdir(made)
    return made


@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_measured_factors_are_the_file_s_values_over_their_mean(folder, correlation):
    """Each about equally often: chi-square of draws that are far apart."""
    (folder / "t.csv").write_text("worker,step_time_s\n0,0.2\n1,0.1\n2,0.6\n3,0.3\n")
    noise = EmpiricalNoise(path="t.csv", correlation=correlation)
    x = sequence(noise, 40_000)[::10].round(12)
    values, counts = np.unique(x, return_counts=True)
    assert values == pytest.approx([1 / 3, 2 / 3, 1, 2])
    assert stats.chisquare(counts).pvalue > 0.001


def test_a_value_that_stands_twice_is_drawn_twice_as_often(folder):
    (folder / "t.csv").write_text("# s\n\nms;note\n10;a\n40;b\n10;c\n")
    x = sequence(EmpiricalNoise(path="t.csv", column="ms"), 30_000)
    values, counts = np.unique(x, return_counts=True)
    assert values == pytest.approx([0.5, 2])
    assert stats.binomtest(int(counts[0]), 30_000, 2 / 3).pvalue > 0.001


def refusal(settings, folder):
    """What is wrong with *settings* of noise in a scenario file."""
    return make.refusal(f"seed: 1\nworkload:\n  noise: {{{settings}}}\n", folder)


MEASURED = "kind: empirical, path: t.csv"
PLACE = "x.yaml:3:3: workload.noise: "


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("step_time_s\n0.1\nfast\n", "t.csv:3: step_time_s is 'fast', no number"),
        ("# a\n\nstep_time_s\n0.1\n\n-1\n", "t.csv:6: step_time_s is '-1'; expected 0 or more"),
        ("step_time_s\ninf\n", "t.csv:2: step_time_s is 'inf'; expected 0 or more"),
        ("step_time_s\nnan\n", "t.csv:2: step_time_s is 'nan'; expected 0 or more"),
        ("a,step_time_s\n1,2\n1\n", "t.csv:3: step_time_s is '', no number"),
        ("", "t.csv has no rows; expected a header and a row for each entry"),
        ("step_time_s\n", "t.csv has no rows; expected a header and a row for each entry"),
        ("step_time\n1\n", "t.csv:1: no column 'step_time_s'; did you mean 'step_time'?"),
        ("step_time_s\n0\n0\n", "t.csv: column step_time_s has nothing above 0"),
        (b"step_time_s\n\xff\n", "t.csv cannot be read: is no UTF-8 text"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(folder, content, message):
    (folder / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert refusal(MEASURED, folder) == PLACE + message


def test_a_cell_of_several_lines_counts_as_several(folder):
    (folder / "t.csv").write_text('name,step_time_s\n"a\nb",1\nc,x\n')
    assert refusal(MEASURED, folder) == PLACE + "t.csv:4: step_time_s is 'x', no number"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (MEASURED, PLACE + "'t.csv' does not exist or cannot be read"),
        (
            "kind: lognormal, correlation: 1",
            "x.yaml:3:28: workload.noise.correlation: must be less than 1, not 1",
        ),
        (
            "kind: gamma, correlation: -0.1",
            "x.yaml:3:24: workload.noise.correlation: must be greater than or equal to 0, not -0.1",
        ),
        (
            "kind: pareto, tail: 1",
            "x.yaml:3:25: workload.noise.tail: must be greater than 1, not 1",
        ),
        (
            "kind: shifted-exponential, share: 1.5",
            "x.yaml:3:38: workload.noise.share: must be less than or equal to 1, not 1.5",
        ),
        ("kind: lognorml", "x.yaml:3:11: workload.noise: no kind 'lognorml'; did you mean"),
    ],
)
def test_impossible_noise_is_refused(folder, settings, message):
    assert refusal(settings, folder).startswith(message)
