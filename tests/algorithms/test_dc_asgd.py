"""Delay compensation: T2, T5, T27 and R12."""

import numpy as np
import pytest

from tests.algorithms.servers_by_hand import RATE, ByHand, Learner, agree, recorded, setting
from tests.make import simulate

N, STEPS, DECAY = 4, 12, 0.01


def compensated(variant, lam, memory, per_worker, epsilon):
    """w -= eta (g + lambda g g (w - w_bak)); adaptive: lambda_0 / sqrt(MS + epsilon)."""
    squares = {}

    def worker(world, rank):
        w, held = world.learner.start, 0
        for step in world.draw():
            yield world.loop.now + world.c[rank].pop(0)
            g = world.learner.gradient(rank, w)
            got = {}

            def apply(g=g, w=w, held=held, got=got):
                scale = lam
                if variant == "adaptive":
                    owner = rank if per_worker else "all"
                    squares[owner] = memory * squares.get(owner, 0.0) + (1 - memory) * g**2
                    scale = lam / np.sqrt(squares[owner] + epsilon)
                got["missed"] = world.missed(rank, held)
                world.changers.append(rank)
                world.add(-RATE * (g + scale * g * g * (world.centre - w)))
                got["w"], got["held"] = world.centre, len(world.changers)

            yield world.call(rank, world.m, world.m, [apply])
            w, held = got["w"], got["held"]
            world.finish(rank, step, w, got["missed"])

    return worker


@pytest.mark.parametrize("gradient", [1e3, 2e7])
@pytest.mark.parametrize(
    ("settings", "oracle"),
    [
        ({}, ("constant", 0.04, 0.0, True, 0.0)),
        ({"compensation": 30.0}, ("constant", 30.0, 0.0, True, 0.0)),
        ({"variant": "adaptive"}, ("adaptive", 2.0, 0.95, True, 1e-7)),
        (
            {"variant": "adaptive", "compensation": 0.7, "memory": 0.5, "epsilon": 1e-3}
            | {"mean_square": "all"},
            ("adaptive", 0.7, 0.5, False, 1e-3),
        ),
        ({"variant": "adaptive", "memory": 0.0}, ("adaptive", 2.0, 0.0, True, 1e-7)),
    ],
)
def test_r12_the_server_corrects_what_is_stale(settings, oracle, gradient, monkeypatch):
    algorithm = {"kind": "dc-asgd"} | settings
    cluster, got = recorded(monkeypatch, **setting(N, gradient, algorithm=algorithm))
    world = ByHand(cluster, N, gradient)
    agree(got, world.run(compensated(*oracle)))
    np.testing.assert_allclose(cluster.servers[0].params, world.centre, atol=1e-12)
    assert any(missed for _, _, missed in got.values())


@pytest.mark.parametrize("variant", ["constant", "adaptive"])
@pytest.mark.parametrize("gradient", [1e3, 2e7])
def test_t27_without_compensation_it_is_asgd(variant, gradient):
    learning = {"optimizer": {"weight_decay": DECAY}}
    algorithm = {"kind": "dc-asgd", "variant": variant, "compensation": 0.0}
    one = simulate(**setting(N, gradient, algorithm=algorithm, learning=learning))
    two = simulate(**setting(N, gradient, algorithm={"kind": "async-ps"}, learning=learning))
    for table in ("steps", "evaluations", "messages"):
        for name, column in one.tables[table].items():
            np.testing.assert_array_equal(column, two.tables[table][name])


@pytest.mark.parametrize("kind", ["dc-asgd", "downpour"])
@pytest.mark.parametrize("n", [1, 3, 6])
def test_t27_equal_workers_have_delay_workers_minus_one(kind, n):
    algorithm = {"kind": kind} | ({} if kind == "dc-asgd" else {"push_period": 1})
    staleness = simulate(**setting(n, noise=0, algorithm=algorithm)).tables["steps"]["staleness"]
    assert sorted(staleness[:n]) == list(range(n))
    assert (staleness[n:] == n - 1).all()


@pytest.mark.parametrize("kind", ["dc-asgd", "downpour"])
def test_t27_mean_delay_of_any_speed_mix(kind):
    algorithm = {"kind": kind} | ({} if kind == "dc-asgd" else {"push_period": 1})
    result = simulate(**setting(5, algorithm=algorithm, stop={"steps": 300}))
    assert result.summary["mean_staleness"] == pytest.approx(4, rel=0.01)


@pytest.mark.parametrize("kind", ["dc-asgd", "async-ps", "ssp", "downpour"])
@pytest.mark.parametrize("settings", [{}, {"variant": "adaptive"}])
def test_t5_alone_it_is_sequential_sgd(kind, settings, monkeypatch):
    """Nothing is stale, so nothing is corrected."""
    special = {"dc-asgd": settings, "downpour": {"own_push": "before"}}.get(kind, {})
    learning = {"optimizer": {"weight_decay": DECAY}}
    made = setting(1, algorithm={"kind": kind} | special, learning=learning)
    cluster, got = recorded(monkeypatch, **made)
    learner = Learner(cluster)
    w = learner.start
    for t in range(STEPS):
        w = w - RATE * (learner.gradient(0, w) + DECAY * w)
        np.testing.assert_allclose(got[0, t][1], w, atol=1e-12)
    np.testing.assert_allclose(cluster.evaluated()[0][0], w, atol=1e-12)


def test_t2_messages_of_dc_asgd():
    result = simulate(**setting(N, 1e6, algorithm={"kind": "dc-asgd"}))
    kinds = result.tables["messages"]["kind"]
    assert [kinds.count(kind) for kind in ("push", "pull")] == [N * STEPS] * 2
    np.testing.assert_array_equal(result.tables["messages"]["nbytes"], 1e6)
