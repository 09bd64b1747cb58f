"""Update rules against loops written here, and schedules against their formulas."""

import math

import numpy as np
import pytest

from simulator.learning import OPTIMIZERS, SCHEDULES
from simulator.learning.optimizers import SGD, heavy_ball, nesterov, sgd
from simulator.learning.schedules import Constant, Cosine, Step


def follow(rule, grads, start):
    """Parameters after every gradient."""
    w, state, path = start, rule.init(start), []
    for grad in grads:
        change, state = rule.update(grad, state, w)
        w = w + change
        path.append(w)
    return np.array(path)


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 5)), rng.normal(size=5)


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["sgd", "heavy_ball", "nesterov"])
def test_rules_follow_pytorch(kind, decay, problem):
    grads, start = problem
    rule = {
        "sgd": lambda: sgd(lambda t: 0.1 / (t + 1), decay),
        "heavy_ball": lambda: heavy_ball(lambda t: 0.1 / (t + 1), 0.9, decay),
        "nesterov": lambda: nesterov(lambda t: 0.1 / (t + 1), 0.9, decay),
    }[kind]()
    got = follow(rule, grads, start)
    w, v = start.copy(), np.zeros(5)
    for t, g in enumerate(grads):
        q = g + decay * w
        v = 0.9 * v + q
        w = w - 0.1 / (t + 1) * {"sgd": q, "heavy_ball": v, "nesterov": q + 0.9 * v}[kind]
        np.testing.assert_allclose(got[t], w, atol=1e-14)


def test_state_is_passed_in_and_handed_back(problem):
    """Calling twice with the same state gives the same change: nothing is hidden."""
    grads, start = problem
    rule = heavy_ball(lambda t: 0.1, 0.9)
    state = rule.init(start)
    one, two = rule.update(grads[0], state, start), rule.update(grads[0], state, start)
    np.testing.assert_array_equal(one[0], two[0])
    assert state.step == 0


def test_float32_stays_float32(problem):
    grads, start = (part.astype(np.float32) for part in problem)
    rule = SGD(momentum=0.9, weight_decay=0.1, schedule=Cosine(10)).build(4)
    change, state = rule.update(grads[0], rule.init(start), start)
    assert change.dtype == state.velocity.dtype == np.float32


def test_schedules():
    assert [Constant().factor(t) for t in (0, 5, 500)] == [1, 1, 1]
    assert [Step(10, 0.5).factor(t) for t in (0, 9, 10, 29, 30)] == [1, 1, 0.5, 0.25, 0.125]
    for t in (0, 3, 50, 100, 200):
        expected = 0.1 + 0.9 * (1 + math.cos(math.pi * min(t, 100) / 100)) / 2
        assert Cosine(100, 0.1).factor(t) == pytest.approx(expected, abs=1e-12)


def test_warm_up_and_linear_scaling():
    rate = SGD(lr=0.1, warmup_steps=5, warmup_from=0.2, linear_scaling=True).rate(8)
    assert [rate(t) for t in (0, 5, 9)] == pytest.approx([0.16, 0.8, 0.8])
    assert rate(2) == pytest.approx(0.8 * (0.2 + 0.8 * 2 / 5))
    assert SGD(lr=0.1).rate(8)(0) == 0.1


def test_what_an_algorithm_does_not_take_is_left_aside():
    settings = SGD(momentum=0.9, weight_decay=0.1, linear_scaling=True)
    kept, ignored = settings.restricted(frozenset({"weight_decay"}))
    assert ignored == ("momentum", "linear_scaling")
    assert (kept.momentum, kept.weight_decay, kept.linear_scaling) == (0.0, 0.1, False)
    assert SGD().restricted(frozenset()) == (SGD(), ())


def test_every_rule_and_schedule_is_tried_above():
    assert set(OPTIMIZERS.values()) == {SGD}
    assert set(SCHEDULES.values()) == {Constant, Step, Cosine}
