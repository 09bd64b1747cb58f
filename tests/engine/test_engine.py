"""The engine: when values come, what order means, and what happens when nothing can."""

import math
import struct

import numpy as np
import pytest
from simpy import AnyOf

from simulator.engine import (
    Activity,
    Batch,
    Clock,
    Deferred,
    Stalled,
    Streams,
    Table,
    done,
    in_order,
)
from simulator.errors import ClockError, SimulatorError


@pytest.fixture
def env():
    return Clock()


@pytest.fixture
def log():
    return []


def test_a_deferred_value_is_there_when_the_event_fires(env, log):
    """The one that falls due is evaluated together with those that fall due next."""
    stacks = []

    def evaluate(requests):
        stacks.append((env.now, list(requests)))
        return [10 * request for request in requests]

    batch = Batch(env, evaluate, limit=2)

    def process(number, delay):
        value = yield batch.request(delay, number)
        log.append((env.now, value))

    for number, delay in ((1, 3.0), (2, 1.0), (3, 2.0)):
        env.work(process(number, delay), f"p{number}")
    env.run_to_end()
    assert log == [(1.0, 20), (2.0, 30), (3.0, 10)]
    assert stacks == [(1.0, [2, 3]), (3.0, [1])]


@pytest.mark.parametrize("limit", [1, 2, 5])
def test_stacks_are_limited(env, limit):
    sizes = []
    batch = Batch(env, lambda requests: sizes.append(len(requests)) or requests, limit)
    events = [batch.request(1.0, number) for number in range(5)]
    env.run()
    assert sum(sizes) == 5
    assert max(sizes) == limit
    assert [event.value for event in events] == list(range(5))


@pytest.fixture
def stacks():
    return []


@pytest.fixture
def squares(env, stacks):
    """A batch that squares; its stacks, at most two requests each, are kept."""

    def evaluate(requests):
        stacks.append(list(requests))
        return [request**2 for request in requests]

    return Batch(env, evaluate, limit=2)


def test_what_is_handed_over_is_evaluated_when_it_is_taken(env, log, squares, stacks):
    parts = [squares.request(delay, number) for number, delay in enumerate((3.0, 1.0, 2.0))]
    for part in parts:
        part.hand_over(lambda event: log.append((env.now, event.request)))
    env.run()
    assert log == [(1.0, 1), (2.0, 2), (3.0, 0)]
    assert stacks == []
    assert list(in_order([*parts, "plain"])) == [0, 1, 4, "plain"]
    assert stacks == [[0, 1], [2]]
    with pytest.raises(SimulatorError, match="a gradient was handed over, and whoever got it"):
        assert parts[0].value
    assert squares.open == []


def test_one_may_wait_for_what_is_handed_over(env, log, squares, stacks):
    """Before it is used up, that is; and hand over what is there already."""

    def process():
        part = squares.request(1.0, 3)
        part.hand_over(log.append)
        log.append((yield part))
        part.hand_over(log.append)
        log.extend(in_order([part]))

    env.work(process(), "p")
    env.run_to_end()
    assert [entry for entry in log if isinstance(entry, int)] == [9, 9]
    assert len(log) == 4
    assert stacks == [[3]]


def test_what_is_handed_over_may_come_along_with_others(env, squares, stacks):
    early, late = squares.request(1.0, 2), squares.request(2.0, 3)
    late.hand_over(lambda _: None)
    env.run()
    assert stacks == [[2, 3]]
    assert early.value == 4
    assert list(in_order([late])) == [9]


def test_deferred_events_combine_and_stop_like_timeouts(env):
    batch = Batch(env, lambda requests: requests)
    first = AnyOf(env, [batch.request(2.0, "late"), batch.request(1.0, "early")])
    assert list(env.run(until=first).values()) == ["early"]
    assert env.now == 1.0
    assert isinstance(batch.request(1.0, "x"), Deferred)


def test_what_is_over_costs_no_event(env):
    def process():
        for number in range(100):
            assert (yield done(env, number)) == number

    env.work(process(), "p")
    env.run_to_end()
    assert next(env._eid) == 2  # the start and the end of the process


def test_an_activity_is_handed_out_before_its_end_is_known(env, log):
    activity = Activity(env, "something")

    def waiter():
        value = yield activity
        log.append((value, env.now))

    def worker():
        yield env.timeout(1.0)
        activity.finish(2.0, late=lambda: f"known at {env.now}")

    env.work(waiter(), "waiter")
    env.work(worker(), "worker")
    env.run_to_end()
    assert log == [("known at 3.0", 3.0)]


@pytest.mark.parametrize("delay", [-1.0, math.nan, -1e-9])
def test_the_clock_never_goes_back(env, delay):
    def process():
        yield env.timeout(1.0)
        Activity(env, "nonsense").finish(delay)
        yield env.timeout(1.0)

    env.work(process(), "p")
    with pytest.raises(ClockError, match="nonsense is due at"):
        env.run_to_end()


def test_a_stalled_run_says_who_waits_for_what(env):
    def process(label):
        yield Activity(env, label)

    env.work(process("a message from nobody"), "process 0")
    env.work(process(lambda: "rank 3"), "process 1")
    with pytest.raises(Stalled) as caught:
        env.run_to_end()
    assert "process 0 waits for a message from nobody" in str(caught.value)
    assert "process 1 waits for rank 3" in str(caught.value)


def test_services_do_not_keep_a_run_alive(env):
    def service():
        while True:
            yield env.timeout(1.0)

    def process():
        yield env.timeout(2.5)

    env.service(service())
    env.work(process(), "p")
    env.run_to_end()
    assert env.now == 2.5


def test_after_instant_comes_after_everything_of_that_instant(env, log):
    def process():
        yield env.timeout(1.0)
        env.after_instant(lambda: log.append("evaluation"))
        yield env.timeout(0.0)
        yield env.timeout(0.0)
        log.append("process")
        yield env.timeout(1.0)

    env.work(process(), "p")
    env.run_to_end()
    assert log == ["process", "evaluation"]


def test_streams_do_not_depend_on_the_order_of_use():
    a = Streams(5)
    first = a.get("noise", 1).random(4)
    b = Streams(5)
    b.get("noise", 0).random(100)
    b.get("data", 1).random(100)
    np.testing.assert_array_equal(b.get("noise", 1).random(4), first)


def test_streams_differ_by_seed_purpose_and_index():
    draws = {
        float(Streams(seed).get(purpose, index).random())
        for seed in range(3)
        for purpose in ("noise", "split")
        for index in range(3)
    }
    assert len(draws) == 18


def test_tables_give_columns():
    table = Table(worker="i8", loss="f8")
    for number in range(10):
        table.append(table.row(number, number / 2))
    assert len(table) == 10
    columns = table.columns()
    assert columns["worker"].tolist() == list(range(10))
    assert columns["loss"].tolist() == [number / 2 for number in range(10)]


def test_a_row_of_the_wrong_length_is_refused():
    table = Table(worker="i8", loss="f8")
    with pytest.raises(struct.error, match="expected 2 items"):
        table.append(table.row(1))
    assert len(table) == 0


def test_only_what_has_fallen_due_is_taken_along(env, squares, stacks):
    early, late = squares.request(1.0, 2), squares.request(2.0, 3)
    for part in (early, late):
        part.hand_over(lambda _: None)
    env.run(until=1.5)
    assert next(in_order([early, late])) == 4
    assert stacks == [[2]]
    env.run()
    assert next(in_order([late])) == 9
