"""Downpour and servers whose updates nobody waits for: T2, T21, T22, T27, R12."""

from functools import partial

import numpy as np
import pytest

from simulator.experiment.run import build
from simulator.learning import State
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
from tests.make import merged, scenario, simulate

N, STEPS, DECAY = 4, 12, 0.01
DECAYED = {"optimizer": {"weight_decay": DECAY}}


# -- Downpour ----------------------------------------------------------------------------


def downpour(push, fetch, own, scale):
    def worker(world, rank):
        w, s, m, held = world.learner.start, 0.0, world.m, 0
        got = {}

        def add(s, k):
            if k == 0:
                got["missed"] = world.missed(rank, held)
                world.changers.append(rank)
            world.add(s, k)

        def read(k):
            if k == 0:
                got["held"] = len(world.changers)
            got["w"][world.parts[k]] = world.centre[world.parts[k]]

        def exchange(pushes, fetches, s):
            """Calls and what they do when they arrive; until when."""
            got.update(w=np.zeros_like(w), missed=None)
            adding = [partial(add, s, k) for k in range(world.shards)] if pushes else []
            reading = [partial(read, k) for k in range(world.shards)] if fetches else []
            if not (pushes and fetches) or own == "race":
                return max(
                    world.call(rank, m, 0, adding) if pushes else 0.0,
                    world.call(rank, 0, m, reading) if fetches else 0.0,
                )
            first, second = (reading, adding) if own == "after" else (adding, reading)
            return world.call(
                rank,
                m,
                m,
                [lambda a=a, b=b: (a(), b()) for a, b in zip(first, second, strict=True)],
            )

        for step in world.draw():
            yield world.loop.now + world.c[rank].pop(0)
            change = scale * world.step(rank, w)
            s = s + change
            pushes, fetches, missed = step % push == 0, step % fetch == 0, None
            if pushes or fetches:
                yield exchange(pushes, fetches, s)
                missed = got["missed"]
            w, held = (got["w"], got["held"]) if fetches else (w + change, held)
            s = 0.0 if pushes else s
            world.finish(rank, step, w, missed)
        if np.any(s):
            yield exchange(True, False, s)

    return worker


def kind_downpour(push, fetch=None, own="race", shards=1, scale=None):
    return {
        "kind": "downpour",
        "push_period": push,
        "fetch_period": fetch,
        "own_push": own,
        "shards": shards,
        "rate_scale": scale,
    }


@pytest.mark.parametrize(
    ("push", "fetch", "own", "shards"),
    [
        (1, None, "before", 1),
        (3, None, "race", 1),
        (3, None, "after", 1),
        (3, None, "before", 2),
        (2, 3, "race", 1),
        (4, 2, "after", 3),
        (1, 4, "before", 1),
    ],
)
@pytest.mark.parametrize("gradient", [1e3, 2e7])
def test_r12_downpour(push, fetch, own, shards, gradient, monkeypatch):
    """L_i(t) = f_i(t) + queueing and transfer; T21: adds in order of arrival, none is lost."""
    algorithm = kind_downpour(push, fetch, own, shards, 0.5)
    made = setting(N, gradient, algorithm=algorithm, learning=DECAYED)
    cluster, got = recorded(monkeypatch, **made)
    world = ByHand(cluster, N, gradient=gradient, shards=shards)
    agree(got, world.run(downpour(push, fetch or push, own, 0.5)))
    np.testing.assert_allclose(cluster.servers[0].params, world.centre, atol=1e-12)


def test_r12_downpour_on_shared_links(monkeypatch):
    """The same where links are shared: a request to read overtakes the bytes of a push."""
    made = setting(N, 1e3, "flow", algorithm=kind_downpour(3), learning=DECAYED)
    cluster, got = recorded(monkeypatch, **made)
    world = ByHand(cluster, N, queues=False)
    agree(got, world.run(downpour(3, 3, "race", 1 / N)))


def test_r12_push_and_pull_are_served_independently():
    """One worker: the pull comes back while the push is still on its way, and is without it."""
    m, x = 1e8, 1e8 * 8 / NIC
    for own, transfers in (("race", 1), ("before", 2), ("after", 2)):
        algorithm = kind_downpour(1, own=own)
        result = simulate(**setting(1, m, "flow", 0, algorithm=algorithm))
        seconds = result.summary["simulated_time_s"] / STEPS
        assert seconds == pytest.approx(COMPUTE + 2 * WAY + transfers * x, rel=1e-9)


@pytest.mark.parametrize("period", [1, 4])
@pytest.mark.parametrize("own", ["before", "after", "race"])
def test_t22_one_worker_of_downpour(period, own, monkeypatch):
    """Own push before the pull: sequential SGD; after it: one exchange late."""
    algorithm = kind_downpour(period, own=own)
    made = setting(1, 1e6, "flow", algorithm=algorithm, learning=DECAYED)
    cluster, got = recorded(monkeypatch, **made)
    learner = Learner(cluster)
    w, pushed, s = learner.start, learner.start, 0.0
    for t in range(STEPS):
        change = -RATE * (learner.gradient(0, w) + DECAY * w)
        w, s = w + change, s + change
        if t % period == 0 and own != "before":  # a read of m bytes in flow overtakes the push
            w, pushed, s = pushed, pushed + s, 0.0
        np.testing.assert_allclose(got[0, t][1], w, atol=1e-12)


def marked(**changes):
    """A cluster in which the k-th update of worker i adds 1 to number 12 i + k, and the reads."""
    made = scenario(**changes)
    cluster, _ = build(made)
    reads = []

    def marking(worker):
        def update(params, grad, state):
            reads.append((worker.rank, state.step, params - cluster.job.start))
            change = np.zeros_like(params)
            change[12 * worker.rank + state.step] = 1.0
            return change, State(state.step + 1, None)

        return update

    for worker in cluster.workers:
        worker.update = marking(worker)
    cluster.run(list(made.algorithm.processes(cluster)))
    return cluster, reads


ALL_MARKS = np.repeat([1.0, 0.0], [STEPS * N, 156 - STEPS * N])


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
@pytest.mark.parametrize(
    "algorithm",
    [
        kind_downpour(1, scale=1.0),
        kind_downpour(3, scale=1.0, shards=3),
        kind_downpour(5, 2, scale=1.0),
        {"kind": "async-ps"},
        {"kind": "ssp", "slack": 2, "rate_scale": 1.0},
    ],
)
def test_t21_no_update_is_lost(algorithm, fidelity):
    """The server's value is the initial one plus every update once, however full its link is."""
    slow = {"stragglers": []}  # so that every worker takes about the same number of steps
    made = merged(setting(N, 3e7, fidelity, 0.01, algorithm=algorithm), slow)
    cluster, reads = marked(**made)
    counts = np.bincount([rank for rank, _, _ in reads], minlength=N)
    value = cluster.servers[0].params - cluster.job.start
    expected = np.zeros(156)
    for rank, count in enumerate(counts):
        expected[12 * rank : 12 * rank + count] += 1  # tickets: a neighbour's place may be hit
    np.testing.assert_allclose(value, expected, atol=1e-12)
    assert counts.sum() == N * STEPS


@pytest.mark.parametrize(("push", "fetch"), [(1, 1), (4, 4), (3, 2), (5, 12)])
@pytest.mark.parametrize("shards", [1, 2])
def test_t2_messages_of_downpour(push, fetch, shards):
    """m up per push and m down per fetch; a push has an empty answer, a fetch an empty request."""
    algorithm = kind_downpour(push, fetch, shards=shards)
    result = simulate(**setting(N, 1e6, "flow", algorithm=algorithm))
    messages, table = result.tables["messages"], result.tables["steps"]
    taken = np.bincount(table["worker"])
    pushes = sum(-(-count // push) + ((count - 1) % push != 0) for count in taken)  # what is left
    fetches = sum(-(-count // fetch) for count in taken)
    for kind, full, empty in (("push", pushes, fetches), ("pull", fetches, pushes)):
        sizes = messages["nbytes"][np.array(messages["kind"]) == kind]
        assert sorted(sizes) == pytest.approx(
            [0.0] * (empty * shards) + [1e6 / shards] * (full * shards)
        )
    assert result.summary["bytes_sent"] == pytest.approx(1e6 * (pushes + fetches), rel=1e-12)


def test_t27_a_gradient_whose_pull_wins_the_race_is_staler(monkeypatch):
    """Equal workers: delay N - 1, and up to as much again where all pulls overtake all pushes.

    What a gradient has missed counts from the value it was taken at, not from the one that
    is being pulled.
    """
    made = setting(N, 1e3, "flow", 0, algorithm=kind_downpour(1, own="race"))
    staleness = simulate(**made).tables["steps"]["staleness"]
    assert (np.sort(staleness[N:].reshape(-1, N)) == np.arange(N - 1, 2 * N - 1)).all()
    for own in ("before", "after"):
        made = setting(N, 1e3, "flow", 0, algorithm=kind_downpour(1, own=own))
        staleness = simulate(**made).tables["steps"]["staleness"]
        assert sorted(staleness[:N]) == list(range(N)), own
        assert (staleness[N:] == N - 1).all(), own


@pytest.mark.parametrize("kind", ["downpour", "easgd", "eamsgd", "dc-asgd", "async-ps", "ssp"])
def test_t4_one_slow_worker(kind):
    """The others' step counts stay, unless their clocks may not be further ahead."""

    def counts(factor):
        slow = [{"kind": "slow-workers", "workers": [2], "factor": factor}]
        made = setting(N, noise=0, algorithm={"kind": kind}, stop={"time": 5.01, "steps": None})
        result = simulate(**merged(made, {"stragglers": slow}))
        return np.bincount(result.tables["steps"]["worker"], minlength=N)

    fair, slow = counts(1.0), counts(3.0)
    others = [0, 1, 3]
    if kind == "ssp":  # s = 3
        assert (slow[others] == slow[2] + 4).all()
        assert slow[2] < fair[2] / 2
    else:
        assert (slow[others] == fair[others]).all()
        assert slow[2] == pytest.approx(fair[2] / 3, abs=1)
