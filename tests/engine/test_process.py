"""Watched processes: what they report, and that they are SimPy's processes otherwise."""

import pytest

from simulator.engine import Activity, Clock, done


@pytest.fixture
def env():
    return Clock()


@pytest.fixture
def log():
    return []


def test_a_watched_process_reports_every_wait(env, log):
    """What, since when, until when; of waits without time only those for activities."""

    class Books:
        cursor = 0.0

        def resume(self, event, since, now):
            log.append((event, since, now))
            self.cursor = now

    def process():
        env.active_process.observer = Books()
        yield first
        yield done(env, None)
        yield early
        yield env.timeout(0.0)
        yield late

    first, early, late = env.timeout(1.0), Activity(env, "early"), Activity(env, "late")
    early.finish(0.5)
    env.work(process(), "p")
    env.after_instant(lambda: late.finish(0.0), 3.0)
    env.run_to_end()
    assert log == [(first, 0.0, 1.0), (early, 1.0, 1.0), (late, 1.0, 3.0)]


def test_an_observer_hears_nothing_of_time_that_its_books_hold(env, log):
    class Books:
        cursor = 2.0

        def resume(self, event, since, now):
            log.append((since, now))

    def process():
        env.active_process.observer = Books()
        for _ in range(3):
            yield env.timeout(1.0)

    env.work(process(), "p")
    env.run_to_end()
    assert log == [(2.0, 3.0)]


def test_a_watched_process_is_a_process(env, log):
    """Values are passed on, failures thrown in, interrupts work, the result is the value."""
    import simpy

    failing = env.event()

    def child():
        yield env.timeout(1.0)
        return "result"

    def process():
        log.append((yield env.work(child(), "child")))
        try:
            yield failing
        except KeyError as error:
            log.append(error.args)
        try:
            yield env.timeout(10.0)
        except simpy.Interrupt as interrupt:
            log.append((interrupt.cause, env.now))

    working = env.work(process(), "p")

    def other():
        yield env.timeout(2.0)
        failing.fail(KeyError("thrown"))
        yield env.timeout(1.0)
        working.interrupt("enough")

    env.work(other(), "other")
    env.run_to_end()
    assert log == ["result", ("thrown",), ("enough", 3.0)]


def test_an_error_in_a_process_ends_the_run(env):
    def process():
        yield env.timeout(1.0)
        raise LookupError("in the process")

    env.work(process(), "p")
    with pytest.raises(LookupError, match="in the process"):
        env.run_to_end()


def test_yielding_no_event_names_the_place(env):
    def process():
        yield 42

    env.work(process(), "p")
    with pytest.raises(TypeError, match=r"test_process.py.*\n.*yield 42\n42 was yielded"):
        env.run_to_end()


def test_an_observer_hears_of_every_activity(env, log):
    """Part of it may have run beside what the books hold already."""

    class Books:
        cursor = 10.0

        def resume(self, event, since, now):
            log.append((event.label, since, now))

    def process():
        env.active_process.observer = Books()
        transfer = Activity(env, "a transfer")
        transfer.finish(1.0)
        yield transfer

    env.work(process(), "p")
    env.run_to_end()
    assert log == [("a transfer", 0.0, 1.0)]


def test_what_is_called_at_a_time_runs_after_events_of_lower_priority():
    from simpy.events import NORMAL

    from simulator.engine.clock import AFTER_THE_INSTANT, NETWORK

    env, seen = Clock(), []
    env.at(1.0, AFTER_THE_INSTANT, lambda: seen.append("after"))
    env.at(1.0, NETWORK, lambda: seen.append("network"))
    env.at(1.0, NORMAL, lambda: seen.append("normal"))
    env.at(0.5, AFTER_THE_INSTANT, lambda: seen.append("earlier"))
    assert env.horizon == 0.5
    env.deadline = 0.25
    assert 0.25 < env.horizon < 0.250001  # what happens at the deadline still happens
    env.deadline = 2.0
    env.run()
    assert seen == ["earlier", "normal", "network", "after"]
    assert env.horizon > 2.0


def test_an_activity_that_is_fired_ends_at_once_and_schedules_nothing():
    env, seen = Clock(), []
    event = Activity(env, "something")

    def waiter():
        seen.append((yield event))

    env.process(waiter())
    env.run()
    before = next(env._eid)
    event.fire("value", ((0.0, 1.0),))
    assert seen == ["value"]
    assert event.busy == ((0.0, 1.0),)
    assert next(env._eid) - before <= 2  # the end of the process alone
