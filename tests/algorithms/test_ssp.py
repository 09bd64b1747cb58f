"""Stale synchronous parallel: T2, T28 and R11."""

import numpy as np
import pytest

from simulator.experiment.run import build
from simulator.learning import State
from tests.algorithms.servers_by_hand import (
    RATE,
    ByHand,
    Learner,
    agree,
    compute_times,
    ends,
    recorded,
    setting,
)
from tests.make import merged, scenario, simulate

N, STEPS, DECAY = 4, 12, 0.01
DECAYED = {"optimizer": {"weight_decay": DECAY}}
SLACKS = pytest.mark.parametrize("slack", [0, 1, 3, 100])


def ssp(slack, scale=None, **changes):
    algorithm = {"kind": "ssp", "slack": slack, "rate_scale": scale}
    return setting(N, algorithm=algorithm, **changes)


def by_hand(slack, scale):
    clocks = [0] * N

    def worker(world, rank):
        w, age, held = world.learner.start, 0, 0
        for step in range(STEPS):
            if age < step - slack:  # the copy is too old
                yield world.nics.carry(rank, "server 0", world.loop.now, 0.0)
                yield lambda step=step: min(clocks) >= step - slack
                age, held, w = min(clocks), len(world.changers), world.centre
                world.pulls += 1
                yield world.nics.carry("server 0", rank, world.loop.now, world.m)
            yield world.loop.now + world.c[rank].pop(0)
            change, got = scale * world.step(rank, w), []

            def apply(rank=rank, change=change, held=held, got=got):
                got.append(world.missed(rank, held))
                world.changers.append(rank)
                world.add(change)
                clocks[rank] += 1
                got.append(world.nics.carry("server 0", rank, world.loop.now, 0.0))

            world.loop.at(world.nics.carry(rank, "server 0", world.loop.now, world.m), apply)
            yield lambda got=got: got
            yield got[1]
            w = w + change  # always with its own
            world.finish(rank, step, w, got[0])

    return worker


@SLACKS
@pytest.mark.parametrize(
    ("fidelity", "gradient"), [("flow", 1e-5), ("alpha-beta", 1e3), ("alpha-beta", 2e7)]
)
@pytest.mark.parametrize("scale", [None, 1.0])
def test_r11_ssp(slack, fidelity, gradient, scale, monkeypatch):
    """Times, parameters and staleness; T2: m up per clock, m down only for a copy too old."""
    made = ssp(slack, scale, gradient=gradient, fidelity=fidelity, learning=DECAYED)
    cluster, got = recorded(monkeypatch, **made)
    world = ByHand(cluster, N, gradient, queues=fidelity == "alpha-beta")
    world.pulls = 0
    agree(got, world.run(by_hand(slack, 1 / N if scale is None else scale)))
    np.testing.assert_allclose(cluster.servers[0].params, world.centre, atol=1e-12)
    sent = simulate(**made).summary["bytes_sent"]
    assert sent == pytest.approx(gradient * (N * STEPS + world.pulls), rel=1e-12)
    assert world.pulls <= N * max(0, STEPS - slack - 1)


@SLACKS
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])
def test_r11_the_recurrence_on_a_free_network(slack, fidelity):
    """L_i(t) = max(L_i(t-1), max_j L_j(t-1-s)) + c_i(t)."""
    link = {"host_link": {"bandwidth": 1e18, "latency": 0.0}}
    made = ssp(slack, gradient=1.0, fidelity=fidelity, topology=link, stop={"steps": 40})
    got, _ = ends(**made)
    c, rows, now = compute_times(N), [], np.zeros(N)
    for t in range(40):
        slowest = rows[t - 1 - slack].max() if t - 1 - slack >= 0 else 0.0
        now = np.maximum(now, slowest) + c[:, t]
        rows.append(now)
    np.testing.assert_allclose(np.array(got), np.array(rows).T, rtol=1e-12)


def test_t28_without_slack_it_is_bulk_synchronous(monkeypatch):
    """Parameters of a clock are those of averaging SGD, for everybody who reads."""
    cluster, got = recorded(monkeypatch, **ssp(0, learning=DECAYED))
    learner = Learner(cluster)
    w = learner.start
    for t in range(STEPS):
        steps = [-RATE / N * (learner.gradient(rank, w) + DECAY * w) for rank in range(N)]
        for rank in range(N):
            np.testing.assert_allclose(got[rank, t][1], w + steps[rank], atol=1e-12)
        w = w + np.sum(steps, axis=0)
    np.testing.assert_allclose(cluster.servers[0].params, w, atol=1e-12)


@SLACKS
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])
def test_t28_the_gap_of_the_clocks(slack, fidelity):
    """At most s + 1 at any instant, and so much when one worker is slow for long."""
    made = ssp(slack, gradient=1e6, fidelity=fidelity, stop={"steps": 30})
    slow = [{"kind": "slow-workers", "workers": [0], "factor": 6.0}]
    steps = simulate(**merged(made, {"stragglers": slow})).tables["steps"]
    clocks, widest = np.zeros(N, int), 0
    order = np.argsort(steps["end_s"], kind="stable")
    for worker in steps["worker"][order]:
        clocks[worker] += 1
        widest = max(widest, clocks.max() - clocks.min())
    assert widest == slack + 1 if slack < 100 else widest > 20


def test_t28_endless_slack_never_reads():
    """Nobody waits and no model is sent: the time of the slowest worker alone."""
    result = simulate(**ssp(1000, gradient=1e3))
    messages = result.tables["messages"]
    pulls = messages["nbytes"][np.array(messages["kind"]) == "pull"]
    assert not pulls.any()


@SLACKS
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])
def test_t28_what_a_gradient_has_read(slack, fidelity):
    """All updates tagged <= c - s - 1, and always the worker's own: every update is marked."""
    made = scenario(**ssp(slack, 1.0, gradient=2e7, fidelity=fidelity))
    cluster, _ = build(made)
    reads = []

    def marking(rank):
        def update(params, grad, state):
            reads.append((rank, state.step, params - cluster.job.start))
            change = np.zeros_like(params)
            change[STEPS * rank + state.step] = 1.0
            return change, State(state.step + 1, None)

        return update

    for worker in cluster.workers:
        worker.update = marking(worker.rank)
    cluster.run(list(made.algorithm.processes(cluster)))
    newer = 0
    for rank, clock, value in reads:
        seen = value[: N * STEPS].reshape(N, STEPS)
        np.testing.assert_allclose(seen[:, : max(0, clock - slack)], 1.0, atol=1e-12)
        np.testing.assert_allclose(seen[rank, :clock], 1.0, atol=1e-12)
        assert not seen[rank, clock:].any()
        newer += (np.delete(seen, rank, 0)[:, max(0, clock - slack) :] > 0.5).any()
    assert len(reads) == N * STEPS
    assert newer > 0 if slack in (1, 3) else not newer
    total = cluster.servers[0].params - cluster.job.start
    np.testing.assert_allclose(total[: N * STEPS], 1.0, atol=1e-12)
