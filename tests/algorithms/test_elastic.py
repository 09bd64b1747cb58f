"""Elastic averaging: T2, T23-T26 and R12."""

from functools import partial

import numpy as np
import pytest

from simulator.cluster.job import Job
from tests.algorithms.servers_by_hand import (
    COMPUTE,
    NIC,
    RATE,
    WAY,
    ByHand,
    Learner,
    agree,
    recorded,
    setting,
)
from tests.make import merged, simulate

N, STEPS, DECAY = 4, 12, 0.01
DECAYED = {"optimizer": {"weight_decay": DECAY}}


def elastic(period, alpha, delta):
    def worker(world, rank):
        x, v, acknowledged = world.learner.start, 0.0, 0.0
        for step in world.draw():
            e = 0.0
            if step % period == 0:
                if acknowledged > world.loop.now:
                    yield acknowledged
                pulled = []
                yield world.call(rank, 0, world.m, [lambda at=pulled: at.append(world.centre)])
                e = alpha * (x - pulled[0])
                acknowledged = world.call(rank, world.m, 0, [partial(world.add, e)])
            yield world.loop.now + world.c[rank].pop(0)
            v = delta * v
            x = x + v
            change = world.step(rank, x)
            x, v = x + change - e, v + change
            world.finish(rank, step, x)

    return worker


@pytest.mark.parametrize("gradient", [1e3, 5e7])
@pytest.mark.parametrize(
    ("kind", "period", "alpha", "delta"),
    [("easgd", 1, None, 0.0), ("easgd", 3, 0.4, 0.0), ("eamsgd", 3, None, 0.9)],
)
def test_r12_elastic_averaging(kind, period, alpha, delta, gradient, monkeypatch):
    """Pull waits, push overlaps the step; e comes from the old x, momentum is Nesterov's."""
    algorithm = {"kind": kind, "period": period, "elasticity": alpha}
    algorithm |= {"delta": delta} if kind == "eamsgd" else {}
    made = setting(N, gradient, algorithm=algorithm, learning=DECAYED)
    cluster, got = recorded(monkeypatch, **made)
    world = ByHand(cluster, N, gradient=gradient)
    agree(got, world.run(elastic(period, 0.9 / N if alpha is None else alpha, delta)))
    np.testing.assert_allclose(cluster.servers[0].params, world.centre, atol=1e-12)
    np.testing.assert_array_equal(cluster.evaluated()[0][0], cluster.servers[0].params)


@pytest.mark.parametrize("period", [1, 4])
def test_t2_messages_of_elastic_averaging(period):
    """Per period m down and m up, whatever the momentum."""
    for kind in ("easgd", "eamsgd"):
        result = simulate(**setting(N, 1e6, "flow", algorithm={"kind": kind, "period": period}))
        taken = np.bincount(result.tables["steps"]["worker"])
        exchanges = sum(-(-count // period) for count in taken)
        messages = result.tables["messages"]
        for what in ("push", "pull"):
            sizes = messages["nbytes"][np.array(messages["kind"]) == what]
            assert sorted(sizes) == pytest.approx([0.0] * exchanges + [1e6] * exchanges)
        assert result.summary["bytes_sent"] == pytest.approx(2e6 * exchanges)


def test_r12_the_push_is_not_waited_for():
    """One worker: a period is 2a + x for the pull and max(c, the push and its answer)."""
    for m in (1e6, 1e8):
        x = m * 8 / NIC
        made = setting(1, m, "flow", 0, algorithm={"kind": "easgd", "period": 1})
        ends = simulate(**made).tables["steps"]["end_s"]
        step = 2 * WAY + x + max(COMPUTE, 2 * WAY + x)
        np.testing.assert_allclose(np.diff(ends), step, rtol=1e-9)


def gradients_seen(monkeypatch, **made):
    """The run, and the sum of all changes by gradients, computed from what was asked for."""
    from simulator.cluster import Worker

    asked, original = [], Worker.compute_gradient

    def compute_gradient(self, params, batch):
        asked.append((params, batch[0]))
        return original(self, params, batch)

    monkeypatch.setattr(Worker, "compute_gradient", compute_gradient)
    cluster, got = recorded(monkeypatch, **made)
    job = cluster.job
    return (
        cluster,
        got,
        [
            job.model.gradients(w[None], job.data.x[s][None], job.data.y[s][None])[1][0]
            for w, s in asked
        ],
    )


@pytest.mark.parametrize("shared", [False, True])
def test_t23_springs_move_nothing_but_what_they_tie(shared, monkeypatch):
    """The sum of all x and the centre changes by gradients only: as much goes as comes."""
    made = setting(N, 1e7, "flow" if shared else "alpha-beta", algorithm={"kind": "easgd"})
    cluster, _, grads = gradients_seen(monkeypatch, **made)
    whole = cluster.servers[0].params + sum(worker.params for worker in cluster.workers)
    expected = (N + 1) * cluster.job.start - RATE * np.sum(grads, axis=0)
    np.testing.assert_allclose(whole, expected, atol=1e-12)


def test_t23_without_gradients_all_meet_in_their_mean(monkeypatch):
    """At a rate that is next to nothing from step 10 on."""
    optimizer = {"schedule": {"kind": "step", "every": 10, "gamma": 1e-300}}
    learning = {"optimizer": optimizer}
    algorithm = {"kind": "easgd", "period": 1}
    made = setting(N, algorithm=algorithm, learning=learning, stop={"steps": 200})
    cluster, got = recorded(monkeypatch, **made)
    assert max(np.ptp([got[rank, 9][1] for rank in range(N)], axis=0)) > 1e-3
    whole = cluster.servers[0].params + sum(worker.params for worker in cluster.workers)
    for worker in cluster.workers:
        np.testing.assert_allclose(worker.params, whole / (N + 1), atol=1e-6)
    np.testing.assert_allclose(cluster.servers[0].params, whole / (N + 1), atol=1e-6)


@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0, 1.5])
def test_t24_stability_of_one_worker_on_a_parabola(rate, monkeypatch):
    """alpha* = (4 - 2 eta) / (4 - eta): it shrinks just below and grows just above."""

    def gradients(self, requests):
        return [(float(params @ params) / 2, params.copy()) for params, _ in requests]

    monkeypatch.setattr(Job, "gradients", gradients)
    for factor in (0.995, 1.005):
        alpha = factor * (4 - 2 * rate) / (4 - rate)
        algorithm = {"kind": "easgd", "period": 1, "elasticity": alpha}
        learning = {"optimizer": {"lr": rate}}
        steps = {"steps": 900}
        made = setting(1, noise=0, algorithm=algorithm, learning=learning, stop=steps)
        with monkeypatch.context() as patch:
            _, got = recorded(patch, **made)
        early, late = (np.abs(got[0, step][1]).max() for step in (500, 899))
        assert (late < 0.9 * early) if factor < 1 else (late > 1.1 * early)


def test_t25_without_momentum_eamsgd_is_easgd():
    one = simulate(**setting(N, algorithm={"kind": "easgd"}))
    two = simulate(**setting(N, algorithm={"kind": "eamsgd", "delta": 0.0}))
    for table in ("steps", "evaluations", "messages"):
        for name, column in one.tables[table].items():
            np.testing.assert_array_equal(column, two.tables[table][name])


def test_t25_without_elasticity_workers_are_independent(monkeypatch):
    """Nesterov SGD of every worker by itself; nothing moves the centre."""
    algorithm = {"kind": "eamsgd", "elasticity": 0.0, "delta": 0.8}
    cluster, got = recorded(monkeypatch, **setting(N, algorithm=algorithm, learning=DECAYED))
    learner = Learner(cluster)
    for rank in range(N):
        w, v, step = learner.start, 0.0, 0
        while (rank, step) in got:
            ahead = w + 0.8 * v
            v = 0.8 * v - RATE * (learner.gradient(rank, ahead) + DECAY * ahead)
            w, step = w + v, step + 1
            np.testing.assert_allclose(got[rank, step - 1][1], w, atol=1e-12)
        assert step > 4
    np.testing.assert_array_equal(cluster.servers[0].params, learner.start)


@pytest.mark.parametrize("alpha", [None, 0.3])
def test_t26_equal_workers_pull_together(alpha, monkeypatch):
    """Synchronous form: the centre becomes (1 - beta) centre + beta mean(x), beta = N alpha."""
    algorithm = {"kind": "easgd", "period": 3, "elasticity": alpha}
    cluster, got = recorded(monkeypatch, **setting(N, 1e3, "flow", 0, algorithm=algorithm))
    learner = Learner(cluster)
    beta = 0.9 if alpha is None else N * alpha
    centre, x = learner.start, np.tile(learner.start, (N, 1))
    for t in range(STEPS):
        grads = np.array([learner.gradient(rank, x[rank]) for rank in range(N)])
        pull = beta / N * (x - centre) if t % 3 == 0 else 0.0
        if t % 3 == 0:
            centre = (1 - beta) * centre + beta * x.mean(0)
        x = x - RATE * grads - pull
        for rank in range(N):
            np.testing.assert_allclose(got[rank, t][1], x[rank], atol=1e-12)
    np.testing.assert_allclose(cluster.servers[0].params, centre, atol=1e-12)
    np.testing.assert_array_equal(cluster.evaluated()[0][0], cluster.servers[0].params)


def test_elastic_averaging_survives_long_periods_where_downpour_does_not():
    """The larger tau, the more of Downpour's own steps fall on its server at once."""

    def loss(kind, period):
        key = "push_period" if kind == "downpour" else "period"
        algorithm = {"kind": kind, key: period}
        algorithm |= {"rate_scale": 1.0} if kind == "downpour" else {}
        made = setting(N, algorithm=algorithm, learning={"optimizer": {"lr": 0.3}})
        made = merged(made, {"learning": {"batch_size": 8}, "stop": {"steps": 130}})
        return simulate(**made).summary["final_loss"]

    assert loss("easgd", 32) < loss("downpour", 32)
