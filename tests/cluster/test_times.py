"""Times of steps: laws of durations, order of draws, the slowest of many, and episodes."""

import math
from functools import partial
from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from simulator.cluster import DURATIONS, ComputeModel, Layout
from simulator.cluster.episodes import Pace, repeated
from simulator.cluster.noise import GammaNoise, LognormalNoise, NoNoise
from simulator.cluster.randomtimes import (
    Constant,
    Exponential,
    Gamma,
    Lognormal,
    ShiftedExponential,
    drawn_ahead,
)
from simulator.cluster.stragglers import Markov, Periodic, Schedule, SlowWorkers
from simulator.engine import Streams
from tests.make import simulate

MANY = 100_000
LAWS = [
    (Lognormal(2.0, 0.7), stats.lognorm(0.7, scale=2.0)),
    (Gamma(3.0, 0.5), stats.gamma(4, scale=0.75)),
    (ShiftedExponential(1.0, 0.5), stats.expon(1.0, 0.5)),
    (Exponential(0.25), stats.expon(0, 0.25)),
]


@pytest.mark.parametrize(("source", "law"), LAWS)
def test_durations_have_the_law_they_promise(source, law):
    """Kolmogorov-Smirnov against scipy (E11)."""
    assert stats.kstest(source.draw(np.random.default_rng(7), MANY), law.cdf).pvalue > 0.001


def test_every_duration_is_tested():
    assert Constant(2.5).draw(np.random.default_rng(0), 3).tolist() == [2.5] * 3
    assert set(DURATIONS.values()) == {Constant} | {type(source) for source, _ in LAWS}


@pytest.mark.parametrize("source", [source for source, _ in LAWS])
def test_draws_come_in_order_across_blocks(source):
    ahead = drawn_ahead(source, np.random.default_rng(1))
    expected = source.draw(np.random.default_rng(1), 400)
    assert [next(ahead) for _ in range(400)] == expected.tolist()


# -- who draws what ----------------------------------------------------------------------


def apart(workers):
    """Every worker on a host of its own."""
    return Layout(tuple(range(workers)), (0,) * workers)


def times(workers, noise, stragglers=(), seed=3):
    """Durations of ten steps of the first three of *workers*."""
    base = [0.1 * (rank + 1) for rank in range(workers)]
    model = ComputeModel(base, noise, stragglers, apart(workers), Streams(seed))

    def of(rank):
        now = 0.0
        for step in range(10):
            seconds = model.duration(rank, now, model.work(rank, step))
            now += seconds
            yield seconds

    return [list(of(rank)) for rank in range(3)]


@pytest.mark.parametrize("common", ["worker", "host"])
@pytest.mark.parametrize("correlation", [0.0, 0.5])
def test_one_worker_more_changes_nobody_elses_times(common, correlation):
    noise = LognormalNoise(sigma=0.5, common=common, correlation=correlation)
    slow = [Markov(normal=0.5, slow=0.5, common=common), Periodic(period=0.4, common=common)]
    assert times(3, noise, slow) == times(4, noise, slow) == times(50, noise, slow)
    assert times(3, noise, slow) != times(3, noise, slow, seed=4)


def test_one_straggler_more_changes_nobody_elses_times():
    noise, markov = GammaNoise(cv=0.4), Markov(normal=0.5, slow=0.5)
    alone, more = times(3, noise), times(3, noise, [SlowWorkers(workers=(1,), factor=3.0)])
    assert more == [alone[0], pytest.approx([3 * t for t in alone[1]]), alone[2]]
    before = times(3, noise, [markov])
    assert before == times(3, noise, [markov, Periodic(workers=(), period=0.3)])
    assert before != times(3, noise, [Periodic(workers=(), period=0.3), markov])


def test_without_anything_a_step_takes_its_own_time():
    assert times(3, NoNoise()) == [[0.1] * 10, [0.2] * 10, pytest.approx([0.3] * 10)]


# -- the slowest of many -----------------------------------------------------------------


def mean_of_largest(law, count):
    """Of *count* independent values of *law* above 0: the integral of 1 - F(x)^count."""
    return integrate.quad(lambda x: 1 - law.cdf(x) ** count, 0, 60, limit=500)[0]


def assert_mean(values, expected):
    """Within three standard errors."""
    values = np.asarray(values)
    assert abs(values.mean() - expected) <= 3 * values.std() / math.sqrt(len(values))


LOGNORMAL = stats.lognorm(0.5, scale=math.exp(-0.125))


def largest(workers, steps, seed=0):
    """The longest work of every step."""
    noise = LognormalNoise(sigma=0.5)
    model = ComputeModel([0.05] * workers, noise, [], apart(workers), Streams(seed))
    return [max(model.work(rank, step) for rank in range(workers)) for step in range(steps)]


@pytest.mark.parametrize(("workers", "steps"), [(1, 20_000), (8, 5000), (64, 2500)])
def test_the_longest_of_n_is_the_order_statistic(workers, steps):
    assert_mean(largest(workers, steps), 0.05 * mean_of_largest(LOGNORMAL, workers))


def test_a_synchronous_step_takes_as_long_as_the_slowest_worker():
    """Where communication costs nothing."""
    link = {"bandwidth": "100 Gbit/s", "latency": "0 s"}
    steps = simulate(
        seed=5,
        topology={"hosts": 8, "gpus_per_host": 0, "host_link": link},
        workload={"gradient": "0 B", "noise": {"sigma": 0.5}},
        stop={"steps": 300},
    ).tables["steps"]
    own = steps["worker"] == 3
    durations = (steps["end_s"] - steps["start_s"])[own]
    assert durations == pytest.approx(largest(8, 300, seed=5), rel=1e-9)
    assert_mean(durations, 0.05 * mean_of_largest(LOGNORMAL, 8))


# -- episodes ----------------------------------------------------------------------------


def end_by_integration(sequences, start, seconds):
    """When *seconds* are worked off: piece by piece between all beginnings and ends."""
    episodes = [episode for sequence in sequences for episode in sequence]
    marks = sorted({start} | {t for begin, end, _ in episodes for t in (begin, end) if t > start})
    for low, high in zip(marks, [*marks[1:], math.inf], strict=True):
        middle = (low + high) / 2
        slower = math.prod(factor for begin, end, factor in episodes if begin <= middle < end)
        done = 0.0 if math.isinf(slower) else (high - low) / slower
        if done >= seconds:
            return low + seconds * slower
        seconds -= done
    raise AssertionError("never done")


@st.composite
def sequences(draw):
    """Up to three sequences of episodes, each in order and without overlap."""
    factors = st.sampled_from([0.5, 1.0, 2.0, 3.7, math.inf])
    gaps = st.tuples(st.floats(0, 3), st.floats(0.05, 3), factors)

    def laid_out(pieces):
        now, laid = 0.0, []
        for gap, length, factor in pieces:
            laid.append((now + gap, now + gap + length, factor))
            now += gap + length
        return laid

    return [laid_out(draw(st.lists(gaps, max_size=5))) for _ in range(draw(st.integers(1, 3)))]


works = st.lists(st.tuples(st.floats(0, 2), st.floats(0.01, 4)), min_size=1, max_size=6)


@given(sequences(), works)
def test_the_end_of_work_is_where_integration_says(sequences, works):
    """One computation after the other, with pauses between them."""
    pace, now = Pace(sequences), 0.0
    for pause, seconds in works:
        now += pause
        expected = end_by_integration(sequences, now, seconds)
        now = pace.end(now, seconds)
        assert now == pytest.approx(expected, rel=1e-9)


@given(sequences(), st.floats(0, 5), st.floats(0.01, 5), st.floats(0.01, 0.99))
def test_work_in_two_pieces_ends_at_the_same_time(sequences, start, seconds, share):
    pace = Pace(sequences)
    half = pace.end(start, share * seconds)
    assert start <= half
    whole = Pace(sequences).end(start, seconds)
    # A first piece may end where a pause begins, and the second then waits: as does the whole.
    assert pace.end(half, seconds - share * seconds) == pytest.approx(whole, rel=1e-9)


def test_aborted_work_begins_anew_before_it_would_have_ended():
    """Lost at 1 s, back at 2 s: 3 s are done at 5 s, 1.5 s more at 8 s, and 5.5 s are left."""
    result = simulate(
        topology={"hosts": 1, "gpus_per_host": 1},
        workload={"compute": "10 s", "gradient": "0 B", "noise": "none"},
        stragglers=[{"kind": "schedule", "at": "5 s", "until": "8 s", "factor": 2}],
        failures={"losses": [{"kind": "timed", "at": "1 s", "workers": 0, "away": "1 s"}]},
        algorithm={"kind": "async-ps"},
        stop={"steps": 1},
    )
    assert result.summary["simulated_time_s"] == pytest.approx(13.5, abs=0.01)


def test_no_work_takes_no_time_even_in_a_pause():
    assert Pace([[(1.0, 2.0, math.inf)]]).end(1.5, 0.0) == 1.5


def test_repeated_episodes_do_not_drift():
    late = next(islice(repeated(0.1, 0.3, 0.05, 2.0), 10**6, None))
    assert late == pytest.approx((0.1 + 0.3e6, 0.15 + 0.3e6, 2.0), rel=1e-14)


# -- stragglers that are slow at times ---------------------------------------------------


PAIRS = Layout((0, 0, 1, 1, 2, 2, 3, 3), (0, 0, 0, 0, 1, 1, 1, 1))


def alone(straggler):
    """Workers whom only *straggler* disturbs."""
    return ComputeModel([1.0] * 8, NoNoise(), [straggler], PAIRS, Streams(0))


def episodes(straggler, seed=0):
    """Iterators of everybody's episodes; None for those who are never slow."""
    bound = straggler.bind(PAIRS, partial(Streams(seed).get, "straggler", 0))
    return [bound.episodes(rank) for rank in range(8)]


def test_markov_episodes_and_the_times_between_are_exponential():
    markov = Markov(normal=4.0, slow=1.0, factor=2.5)
    begin, end, factor = map(np.array, zip(*islice(episodes(markov)[3], 1, 20_001), strict=True))
    assert set(factor) == {2.5}
    for lengths, mean in ((end - begin, 1.0), (begin[1:] - end[:-1], 4.0)):
        assert_mean(lengths, mean)
        assert stats.kstest(lengths, stats.expon(0, mean).cdf).pvalue > 0.001


@pytest.mark.parametrize("common", ["worker", "host", "all"])
def test_markov_is_in_its_long_run_state_at_any_time(common):
    """The share of seeds in which a worker is slow at time t is slow / (slow + normal)."""
    markov = Markov(normal=3.0, slow=1.0, common=common)

    def slow_at(time, rank, seed):
        for begin, end, _ in episodes(markov, seed)[rank]:
            if end > time:
                return begin <= time
        raise AssertionError

    for time, rank in ((0.0, 0), (0.7, 5), (9.0, 2)):
        assert_mean([slow_at(time, rank, seed) for seed in range(1500)], 0.25)


@pytest.mark.parametrize("straggler", [Markov(), Periodic()])
@pytest.mark.parametrize(("common", "different"), [("worker", 8), ("host", 4), ("all", 1)])
def test_episodes_are_shared_as_asked_for(straggler, common, different):
    changed = type(straggler)(common=common)
    found = [tuple(islice(one, 20)) for one in episodes(changed)]
    assert len(set(found)) == different
    if common == "host":
        assert found[::2] == found[1::2]


@pytest.mark.parametrize("kind", [Markov, partial(Periodic, offset=0.0), Schedule])
def test_only_those_that_are_chosen_have_episodes(kind):
    assert [rank for rank, one in enumerate(episodes(kind(hosts=(2,)))) if one] == [4, 5]
    assert all(episodes(kind()))
    assert sum(one is not None for one in episodes(kind(fraction=0.5))) == 4


def end_by_milliseconds(start, work, factor_at):
    """When *work* (ms) is done that begins at *start* (ms), one millisecond after the other."""
    now, done = start, 0.0
    while True:
        rate = 1 / factor_at(now)
        if done + rate >= work - 1e-9:
            return now + (work - done) / rate
        now, done = now + 1, done + rate


@pytest.mark.parametrize("factor", [None, 4.0])
@pytest.mark.parametrize(("start", "work"), [(0, 50), (99, 1), (100, 7), (110, 300), (455, 1000)])
def test_pauses_with_an_offset_are_exact(factor, start, work):
    """30 ms of every 200 ms, from 100 ms on."""
    periodic = Periodic(period=0.2, duration=0.03, offset=0.1, factor=factor)

    def factor_at(now):
        return (factor or math.inf) if now >= 100 and (now - 100) % 200 < 30 else 1.0

    duration = alone(periodic).duration(6, start / 1000, work / 1000)
    expected = (end_by_milliseconds(start, work, factor_at) - start) / 1000
    assert duration == pytest.approx(expected, rel=1e-9)


def test_pauses_without_an_offset_begin_anywhere_in_a_period():
    periodic = Periodic(period=0.2, duration=0.03)
    first = [next(one)[0] for seed in range(200) for one in episodes(periodic, seed)]
    assert stats.kstest(first, stats.uniform(0, 0.2).cdf).pvalue > 0.001


@pytest.mark.parametrize(
    ("settings", "ends"),
    [
        ({"at": 1.0, "until": 3.0}, [0.5, 2.0, 4.0, 8.0]),
        ({"at": 1.0, "until": 3.0, "factor": 4.0}, [0.5, 3.0, 4.5, 8.5]),
        ({"at": 1.0, "until": 3.0, "factor": None}, [0.5, 3.5, 5.0, 9.0]),
        ({"at": 1.0}, [0.5, 2.0, 5.0, 13.0]),
    ],
)
def test_a_schedule(settings, ends):
    """Work of 0.5, 1, 1.5 and 4 s, one after the other."""
    made, now, found = alone(Schedule(workers=(3,), **settings)), 0.0, []
    for work in (0.5, 1.0, 1.5, 4.0):
        now += made.duration(3, now, work)
        found.append(now)
    assert found == pytest.approx(ends)
    assert made.duration(2, 1.0, 4.0) == 4.0
    assert made.duration(3, 1e6, 4.0) == (4.0 if "until" in settings else 8.0)


def test_in_a_run_a_standstill_makes_everybody_wait():
    def end(*stragglers):
        result = simulate(workload={"noise": "none"}, stragglers=list(stragglers))
        return result.summary["simulated_time_s"]

    still = {"kind": "schedule", "workers": 3, "at": "0 s", "until": "700 ms", "factor": None}
    assert end(still) == pytest.approx(end() + 0.7)
