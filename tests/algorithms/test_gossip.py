"""D-PSGD: T2, T4, T5, T33, T34 and R13, R14 as loops written here."""

import numpy as np
import pytest

from simulator.algorithms.pieces.graphs import neighbours
from simulator.experiment.run import build
from tests.algorithms.gossip import (
    COMPUTE,
    HOP,
    NO_LEARNING,
    PLAIN,
    RATE,
    T_M,
    Learner,
    apart,
    compute_times,
    end_times,
    read,
    recorded,
    run,
    spread,
    tables,
)
from tests.make import scenario, simulate

STEPS = 30
GRAPHS = [("ring", 2), ("ring", 5), ("torus", 6), ("torus", 12), ("exponential", 8)]
GRAPHS += [("exponential", 7), ("complete", 5)]
EVERY_GRAPH = pytest.mark.parametrize(("graph", "n"), GRAPHS)
BOTH = pytest.mark.parametrize("mixing", ["overlapped", "after"])


def adjacency(graph, n):
    """Who is linked with whom, by coordinates and distances."""
    a = np.zeros((n, n), bool)
    if graph == "torus":
        rows = {6: 2, 12: 3}[n]
        columns = n // rows
        for i in range(n):
            r, c = i // columns, i % columns
            for dr, dc in ((0, 1), (1, 0)):
                j = (r + dr) % rows * columns + (c + dc) % columns
                a[i, j] = a[j, i] = True
    else:
        distances = {
            "ring": [1],
            "complete": range(1, n),
            "exponential": [d for d in (1, 2, 4, 8) if d < n],
        }
        for i in range(n):
            for d in distances[graph]:
                a[i, (i + d) % n] = a[(i + d) % n, i] = True
    a[np.arange(n), np.arange(n)] = False
    return a


def mixing_matrix(graph, n):
    """A node and its neighbours weigh the same."""
    w = adjacency(graph, n) + np.eye(n)
    return w / w.sum(1, keepdims=True)


@EVERY_GRAPH
def test_t33_graphs_are_regular_and_their_matrices_doubly_stochastic(graph, n):
    a = np.zeros((n, n))
    for rank in range(n):
        others = neighbours(graph, rank, n)
        assert len(set(others)) == len(others)
        a[rank, others] = 1
    np.testing.assert_array_equal(a, adjacency(graph, n))
    w = (a + np.eye(n)) / (1 + a.sum(1, keepdims=True))
    np.testing.assert_array_equal(w, w.T)
    np.testing.assert_allclose(w.sum(0), 1, atol=1e-12)
    np.testing.assert_allclose(w.sum(1), 1, atol=1e-12)


def test_t33_a_ring_gives_a_third_to_each():
    np.testing.assert_array_equal(mixing_matrix("ring", 5)[0], [1 / 3, 1 / 3, 0, 0, 1 / 3])


@EVERY_GRAPH
@BOTH
def test_d_psgd_against_a_lock_step_loop(graph, n, mixing, monkeypatch):
    """T33: x = W x - rate g, or W (x - rate g); the mean of all moves by the mean change."""
    history = recorded(monkeypatch)
    cluster = run(n, {"kind": "d-psgd", "graph": graph, "mixing": mixing}, 12)
    learner, w = Learner(cluster, 12), mixing_matrix(graph, n)
    x = np.tile(cluster.job.start, (n, 1))
    for t in range(12):
        change = np.array([learner.step(i, t, x[i]) for i in range(n)])
        x = w @ x + change if mixing == "overlapped" else w @ (x + change)
        got = np.array([history[i, t][0] for i in range(n)])
        np.testing.assert_allclose(got, x, atol=1e-12)
    for i, (params, weight) in enumerate(cluster.evaluated()):
        assert weight == 1.0
        np.testing.assert_allclose(params, x[i], atol=1e-12)


@BOTH
def test_t33_the_mean_moves_by_the_mean_gradient(mixing, monkeypatch):
    history, where = recorded(monkeypatch), read(monkeypatch)
    cluster = run(6, {"kind": "d-psgd", "graph": "torus", "mixing": mixing}, STEPS, **PLAIN)
    learner, mean = Learner(cluster, STEPS), cluster.job.start
    for t in range(STEPS):
        grads = [learner.gradient(i, t, where[i, t]) for i in range(6)]
        mean = mean - RATE * np.mean(grads, 0)
        got = np.mean([history[i, t][0] for i in range(6)], 0)
        np.testing.assert_allclose(got, mean, atol=1e-12)
    spread_ = np.ptp([history[i, STEPS - 1][0] for i in range(6)], axis=0).max()
    assert spread_ > 1e-3  # otherwise this would say nothing about gossip


def test_t33_complete_graph_mixing_after_the_step_is_sync_sgd(monkeypatch):
    history = recorded(monkeypatch)
    # momentum is local, so it agrees with that of the mean as it does in local SGD
    run(5, {"kind": "d-psgd", "graph": "complete", "mixing": "after"}, 40)
    got = history[3, 39][0]
    run(5, {"kind": "sync-sgd"}, 40)
    np.testing.assert_allclose(got, history[3, 39][0], atol=1e-12)
    run(5, {"kind": "d-psgd", "graph": "complete", "mixing": "overlapped"}, 40)
    assert np.abs(got - history[3, 39][0]).max() > 1e-3  # that one is one step late


@EVERY_GRAPH
@BOTH
def test_t34_without_gradients_replicas_come_together_as_fast_as_the_graph_says(
    graph, n, mixing, monkeypatch
):
    """Their spread shrinks by the square of the second largest eigenvalue, and no slower."""
    w = mixing_matrix(graph, n)
    values, vectors = np.linalg.eigh(w)
    order = np.argsort(-np.abs(values))
    second = abs(values[order[1]])
    algorithm = {"kind": "d-psgd", "graph": graph, "mixing": mixing}

    def spreads(where):
        with monkeypatch.context() as patch:
            apart(patch, where)
            history = recorded(patch)
            cluster = run(n, algorithm, 5, **NO_LEARNING)
        start = np.array([where(i, cluster.job.start) for i in range(n)])
        x = [start, *([history[i, t][0] for i in range(n)] for t in range(5))]
        return np.array([np.square(one - np.mean(one, 0)).sum() for one in x])

    slowest = vectors[:, order[1]]
    got = spreads(lambda rank, w0: 3 + slowest[rank] * np.ones_like(w0))
    np.testing.assert_allclose(got[1:], second**2 * got[:-1], rtol=1e-6, atol=1e-20)
    got = spreads(spread)
    assert (got[1:] <= second**2 * got[:-1] * (1 + 1e-6) + 1e-20).all()


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
@pytest.mark.parametrize(("graph", "n"), [("ring", 6), ("torus", 12), ("complete", 5)])
def test_r13_d_psgd_mixing_after_the_step(graph, n, fidelity):
    algorithm = {"kind": "d-psgd", "graph": graph, "mixing": "after"}
    got = end_times(run(n, algorithm, STEPS, fidelity=fidelity), n, STEPS)
    c, now = compute_times(n), np.zeros(n)
    linked = adjacency(graph, n)
    for t in range(STEPS):
        f = now + c[:, t]
        now = np.array([max(f[i], f[linked[i]].max()) + T_M for i in range(n)])
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
@pytest.mark.parametrize("hop", [0.01, 0.08])
@pytest.mark.parametrize(("graph", "n"), [("ring", 6), ("torus", 12), ("complete", 5)])
def test_r14_d_psgd_mixing_under_the_step(graph, n, hop, fidelity):
    """A model may also be under way for longer than a step takes."""
    algorithm = {"kind": "d-psgd", "graph": graph, "mixing": "overlapped"}
    got = end_times(run(n, algorithm, STEPS, fidelity=fidelity, hop=hop), n, STEPS)
    c, now = compute_times(n), np.zeros(n)
    linked = adjacency(graph, n)
    for t in range(STEPS):
        f, sent = now + c[:, t], now + 2 * hop
        now = np.array([max(f[i], sent[linked[i]].max()) for i in range(n)])
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)


@pytest.mark.parametrize(("graph", "n", "degree"), [("ring", 5, 2), ("torus", 12, 4)])
@BOTH
def test_t2_d_psgd_sends_its_model_to_every_neighbour(graph, n, degree, mixing):
    algorithm = {"kind": "d-psgd", "graph": graph, "mixing": mixing}
    result = tables(n, algorithm, 12, workload={"gradient": 1000})
    table = result.tables["messages"]
    assert set(table["kind"]) == {"message"}
    assert (np.array(table["nbytes"]) == 1000).all()
    assert len(table["kind"]) == 12 * n * degree
    assert result.summary["bytes_sent"] == 12 * n * degree * 1000
    links = result.tables["links"]
    nics = [
        nbytes
        for source, target, nbytes in zip(
            links["source"], links["target"], links["nbytes"], strict=True
        )
        if "switch0" in (source, target)
    ]
    np.testing.assert_allclose(nics, 12 * degree * 1000)


def test_equal_nodes_of_a_ring_share_their_links_between_both_neighbours():
    """With mixing after the step: c + 2a + 2 m/B per step."""
    result = simulate(
        topology={"kind": "star", "hosts": 5, "gpus_per_host": 0},
        workload={"noise": "none"},
        algorithm={"kind": "d-psgd", "mixing": "after"},
    )
    one = 0.05 + 20e-6 + 2 * 10e6 * 8 / 10e9
    assert result.summary["simulated_time_s"] == pytest.approx(12 * one, rel=1e-9)


@pytest.mark.parametrize("algorithm", [{"kind": "d-psgd"}, {"kind": "d-psgd", "mixing": "after"}])
def test_t5_alone_it_is_sgd(algorithm, monkeypatch):
    history = recorded(monkeypatch)
    cluster = run(1, algorithm, STEPS)
    learner, w = Learner(cluster, STEPS), cluster.job.start
    for t in range(STEPS):
        w = w + learner.step(0, t, w)
        np.testing.assert_allclose(history[0, t][0], w, atol=1e-12)


def test_a_delay_spreads_one_hop_a_step():
    """Worker 0 is late in its first step: those k hops away feel it k steps later."""

    def ends(**late):
        changes = {"workload": {"noise": "none"}, "stragglers": []} | late
        cluster = run(9, {"kind": "d-psgd", "mixing": "overlapped"}, 6, **changes)
        return end_times(cluster, 9, 6)

    pause = {"kind": "schedule", "workers": [0], "at": 0.05, "until": 0.55, "factor": None}
    late = ends(stragglers=[pause]) - ends() > 0.1
    for worker in range(9):
        distance = min(worker, 9 - worker)
        assert late[worker].tolist() == [t >= distance for t in range(6)]


def test_t4_one_slow_node_slows_down_all_of_d_psgd():
    for mixing in ("overlapped", "after"):
        result = tables(
            6,
            {"kind": "d-psgd", "mixing": mixing},
            None,
            stop={"steps": None, "time": "10.01 s"},
            workload={"noise": "none"},
            stragglers=[{"kind": "slow-workers", "workers": [2], "factor": 10.0}],
        )
        counts = np.bincount(result.tables["steps"]["worker"], minlength=6)
        assert np.ptp(counts) <= 3  # a neighbourhood's distance
        assert counts.min() == int(10.01 / (10 * COMPUTE + (2 * HOP if mixing == "after" else 0)))


def test_mail_comes_in_the_order_in_which_it_was_sent_whoever_is_first():
    """Waiting before or after the sending; a size of one's own; rank by rank."""
    cluster, _ = build(scenario(topology={"hosts": 3, "gpus_per_host": 1}))
    mail, env, got = cluster.mail(), cluster.env, []

    def sender():
        yield env.timeout(1.0)
        mail.send(0, 1, np.array([1.0]))
        mail.send(2, 1, np.array([-1.0]))
        mail.send(0, 1, np.array([2.0]), 5.0)
        mail.send(0, 1, np.array([3.0]))

    def receiver():
        first, second, other = mail.receive(1, 0), mail.receive(1, 0), mail.receive(1, 2)
        got.extend([(yield other)[0], (yield second)[0], (yield first)[0]])
        yield env.timeout(1.0)
        got.append((yield mail.receive(1, 0))[0])

    cluster.run([sender(), receiver()])
    assert got == [-1.0, 2.0, 1.0, 3.0]
    nbytes = sorted(cluster.trace.messages.columns()["nbytes"])
    assert nbytes == [5.0, 10e6, 10e6, 10e6]
