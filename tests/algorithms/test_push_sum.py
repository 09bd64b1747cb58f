"""SGP and OSGP: T2, T5, T36 and R15, R16 as loops written here."""

import heapq

import numpy as np
import pytest

from simulator.algorithms.pieces.graphs import hops
from tests.algorithms.gossip import (
    HOP,
    NO_LEARNING,
    PLAIN,
    RATE,
    T_M,
    Learner,
    apart,
    compute_times,
    end_times,
    host,
    messages,
    read,
    recorded,
    run,
    spread,
    tables,
)
from tests.make import simulate

STEPS = 24
CUT = 2.2  # s, before anybody has done them all
CYCLES = {  # distances of successive one-peer rounds
    ("forward", 8): [1, 2, 4],
    ("both", 8): [1, 7, 2, 6, 4],
    ("forward", 6): [1, 2, 4],
    ("both", 6): [1, 5, 2, 4],
    ("both", 2): [1],
    ("forward", 5): [1, 2, 4],
}
CASES = pytest.mark.parametrize(
    ("graph", "n", "peers"),
    [
        ("both", 8, 1),
        ("forward", 8, 1),
        ("both", 8, 2),
        ("forward", 6, 2),
        ("both", 6, 3),
        ("both", 2, 1),
        ("forward", 5, 7),
    ],
)


def distances(graph, n, peers, number):
    """How far ahead of a rank those are whom it gives to in a round."""
    cycle = CYCLES[graph, n]
    peers = min(peers, len(cycle))
    return [cycle[(number * peers + k) % len(cycle)] for k in range(peers)]


def push_matrix(graph, n, peers, number):
    """Column j says what becomes of what j has."""
    ahead = distances(graph, n, peers, number)
    p = np.eye(n)
    for j in range(n):
        for distance in ahead:
            p[(j + distance) % n, j] = 1
    return p / (len(ahead) + 1)


@pytest.mark.parametrize(("graph", "n"), list(CYCLES))
def test_t36_peers_cycle_through_powers_of_two(graph, n):
    assert hops(n, graph == "both") == CYCLES[graph, n]
    for number in range(5):
        p = push_matrix(graph, n, 2, number)
        np.testing.assert_allclose(p.sum(0), 1)


@CASES
def test_sgp_against_a_lock_step_loop(graph, n, peers, monkeypatch):
    """x = P(x + change), o = P o; gradients are taken at x / o, which is evaluated too."""
    history, where = recorded(monkeypatch), read(monkeypatch)
    cluster = run(n, {"kind": "sgp", "graph": graph, "peers": peers}, STEPS)
    learner = Learner(cluster, STEPS)
    x, o = np.tile(cluster.job.start, (n, 1)), np.ones(n)
    for t in range(STEPS):
        z = x / o[:, None]
        np.testing.assert_allclose([where[i, t] for i in range(n)], z, atol=1e-12)
        change = np.array([learner.step(i, t, z[i]) for i in range(n)])
        p = push_matrix(graph, n, peers, t)
        x, o = p @ (x + change), p @ o
        for i in range(n):
            params, weight = history[i, t]
            assert weight == pytest.approx(o[i], abs=1e-12)
            np.testing.assert_allclose(params, x[i] / o[i], atol=1e-12)
    for i, (params, weight) in enumerate(cluster.evaluated()):
        np.testing.assert_allclose(weight * params, x[i], atol=1e-12)


@CASES
def test_osgp_against_a_lock_step_loop(graph, n, peers, monkeypatch):
    """Half is away while the gradient is taken, at z = kept / its weight."""
    history, where = recorded(monkeypatch), read(monkeypatch)
    cluster = run(n, {"kind": "osgp", "graph": graph, "peers": peers}, STEPS)
    learner = Learner(cluster, STEPS)
    x, o = np.tile(cluster.job.start, (n, 1)), np.ones(n)
    for t in range(STEPS):
        p = push_matrix(graph, n, peers, t)
        kept = p[0, 0] * x
        z = kept / (p[0, 0] * o)[:, None]
        np.testing.assert_allclose([where[i, t] for i in range(n)], z, atol=1e-12)
        change = np.array([learner.step(i, t, z[i]) for i in range(n)])
        x, o = kept + change + (p - p[0, 0] * np.eye(n)) @ x, p @ o
        for i in range(n):
            params, weight = history[i, t]
            assert weight == pytest.approx(o[i], abs=1e-12)
            np.testing.assert_allclose(params, x[i] / o[i], atol=1e-12)
    for i, (params, weight) in enumerate(cluster.evaluated()):
        np.testing.assert_allclose(weight * params, x[i], atol=1e-12)


def patient(cluster, n, graph, peers, patience, hop):
    """OSGP as it would run until some are at the end: (time, rank, step, z read, x, o)."""
    learner, c = Learner(cluster, STEPS), compute_times(n)
    x, o = [cluster.job.start.copy() for _ in range(n)], [1.0] * n
    rounds, waited, step, z = [0] * n, [0] * n, [0] * n, [None] * n
    open_, blocked, post, finished = [False] * n, [False] * n, {}, []
    queue = []

    def begin(i, now):
        if not open_[i]:
            ahead = distances(graph, n, peers, rounds[i])
            share = 1 / (len(ahead) + 1)
            x[i], o[i] = share * x[i], share * o[i]
            for distance in ahead:
                to = (i + distance) % n
                post[to, i, rounds[i]] = now + 2 * hop, x[i].copy(), o[i]
                heapq.heappush(queue, (now + 2 * hop, 1, to, rounds[i]))
            open_[i], waited[i] = True, 0
            rounds[i] += 1
        z[i] = x[i] / o[i]
        heapq.heappush(queue, (now + c[i, step[i]], 0, i, 0))

    def gifts(i, now):
        number = rounds[i] - 1
        ways = [((i - d) % n, d) for d in distances(graph, n, peers, number)]
        due = [post.get((i, source, number)) for source, _ in ways]
        return due if all(one is not None and one[0] <= now for one in due) else None

    def end(i, now):
        due = gifts(i, now)
        if due is not None:
            for _, part, weight in due:
                x[i], o[i] = x[i] + part, o[i] + weight
            open_[i] = False
        elif waited[i] >= patience:
            blocked[i] = True
            return
        blocked[i] = False
        waited[i] += 1
        finished.append((now, i, step[i], z[i], x[i].copy(), o[i]))
        step[i] += 1
        if step[i] < STEPS:
            begin(i, now)

    for i in range(n):
        begin(i, 0.0)
    while queue:
        now, arrival, i, _ = heapq.heappop(queue)
        if not arrival:
            x[i] = x[i] + learner.step(i, step[i], z[i])
            end(i, now)
        elif blocked[i]:
            end(i, now)
    return finished


@pytest.mark.parametrize("patience", [0, 1, 3])
@pytest.mark.parametrize(("graph", "n", "peers"), [("both", 8, 1), ("forward", 6, 2)])
@pytest.mark.parametrize("hop", [0.01, 0.12])
def test_osgp_with_patience_against_a_loop_over_events(graph, n, peers, patience, hop, monkeypatch):
    """A message that is late is tested for after each of `patience` steps, then waited for.

    T36: until it has come the weight is less than 1, never 0.
    """
    history, where = recorded(monkeypatch), read(monkeypatch)
    algorithm = {"kind": "osgp", "graph": graph, "peers": peers, "patience": patience}
    cluster = run(n, algorithm, STEPS, hop=hop, stop={"time": CUT})
    finished = patient(cluster, n, graph, peers, patience, hop)
    assert all(now > CUT for now, _, t, *_ in finished if t == STEPS - 1)
    got = end_times(cluster, n, STEPS)
    seen = [one for one in finished if one[0] < CUT]
    assert len(seen) == np.isfinite(got).sum() > 4 * n
    for now, i, t, z, numerator, weight in seen:
        assert got[i, t] == pytest.approx(now, rel=1e-12)
        np.testing.assert_allclose(where[i, t], z, atol=1e-12)
        np.testing.assert_allclose(history[i, t][0], numerator / weight, atol=1e-12)
        assert history[i, t][1] == pytest.approx(weight, abs=1e-12)
    weights = np.array([weight for _, weight in history.values()])
    assert weights.min() > 0
    assert (weights.min() < 0.6) == (patience > 0)


@pytest.mark.parametrize("patience", [1, 2, 5])
@pytest.mark.parametrize("n", [2, 3, 8])
def test_osgp_with_patience_comes_to_an_end(patience, n):
    """Some have had more rounds than others; nobody waits for a message that will not be sent."""
    cluster = run(n, {"kind": "osgp", "patience": patience}, STEPS, hop=0.05)
    assert cluster.progress.worker_steps == n * STEPS


@pytest.mark.parametrize(
    "algorithm",
    [
        {"kind": "sgp"},
        {"kind": "sgp", "peers": 2, "graph": "forward"},
        {"kind": "osgp"},
        {"kind": "osgp", "peers": 2},
        {"kind": "osgp", "patience": 2},
        {"kind": "osgp", "patience": 3, "graph": "forward"},
    ],
)
def test_t36_weights_and_models_of_all_are_conserved(algorithm, monkeypatch):
    """When all is over: weights add up to N, numerators to N w0 minus the rate times gradients."""
    where = read(monkeypatch)
    cluster = run(8, algorithm, STEPS, hop=0.05, **PLAIN)
    learner = Learner(cluster, STEPS)
    expected = 8 * cluster.job.start
    for (i, t), z in where.items():
        expected = expected - RATE * learner.gradient(i, t, z)
    assert len(where) == 8 * STEPS
    evaluated = cluster.evaluated()
    assert sum(weight for _, weight in evaluated) == pytest.approx(8, abs=1e-12)
    assert all(weight > 0 for _, weight in evaluated)
    total = np.sum([weight * params for params, weight in evaluated], 0)
    np.testing.assert_allclose(total, expected, atol=1e-12)


@pytest.mark.parametrize("kind", ["sgp", "osgp"])
@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_t36_forward_hops_give_the_exact_mean_after_log2_n_rounds(kind, n, monkeypatch):
    apart(monkeypatch, spread)
    history = recorded(monkeypatch)
    depth = n.bit_length() - 1
    cluster = run(n, {"kind": kind, "graph": "forward"}, depth, **NO_LEARNING)
    mean = np.mean([spread(i, cluster.job.start) for i in range(n)], 0)
    for i in range(n):
        np.testing.assert_allclose(history[i, depth - 1][0], mean, atol=1e-12)
        if depth > 1:
            assert np.abs(history[i, depth - 2][0] - mean).max() > 1e-2


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
@CASES
def test_r15_sgp(graph, n, peers, fidelity):
    """L_i = max(f_i, f_in + T_m), over all in-peers of the step."""
    algorithm = {"kind": "sgp", "graph": graph, "peers": peers}
    got = end_times(run(n, algorithm, STEPS, fidelity=fidelity), n, STEPS)
    c, now = compute_times(n), np.zeros(n)
    for t in range(STEPS):
        f = now + c[:, t]
        ahead = distances(graph, n, peers, t)
        now = np.array([max([f[i], *(f[(i - d) % n] + T_M for d in ahead)]) for i in range(n)])
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
@pytest.mark.parametrize("hop", [0.01, 0.09])
@CASES
def test_r16_osgp(graph, n, peers, hop, fidelity):
    """L_i(t) = max(f_i(t), L_in(t-1) + T_m): messages leave at the start of a step."""
    algorithm = {"kind": "osgp", "graph": graph, "peers": peers}
    got = end_times(run(n, algorithm, STEPS, fidelity=fidelity, hop=hop), n, STEPS)
    c, now = compute_times(n), np.zeros(n)
    for t in range(STEPS):
        f, sent = now + c[:, t], now + 2 * hop
        ahead = distances(graph, n, peers, t)
        now = np.array([max([f[i], *(sent[(i - d) % n] for d in ahead)]) for i in range(n)])
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)


@pytest.mark.parametrize("kind", ["sgp", "osgp"])
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])
def test_r15_r16_equal_nodes(kind, fidelity):
    """c + 2a + (m + 4)/B, of which OSGP shows what is longer than the computation."""
    message = 20e-6 + (200e6 + 4) * 8 / 10e9
    result = simulate(
        topology={"kind": "star", "hosts": 4, "gpus_per_host": 0},
        network={"fidelity": fidelity},
        workload={"noise": "none", "gradient": "200 MB"},
        algorithm={"kind": kind},
    )
    period = 0.05 + message if kind == "sgp" else max(0.05, message)
    assert message > 0.05
    assert result.summary["simulated_time_s"] == pytest.approx(12 * period, rel=1e-9)


@pytest.mark.parametrize("kind", ["sgp", "osgp"])
@pytest.mark.parametrize(("peers", "number"), [(1, 1), (2, 2), (9, 5)])
def test_t2_model_and_weight_to_every_peer(kind, peers, number):
    result = tables(8, {"kind": kind, "peers": peers}, 12, workload={"gradient": 1000})
    table = result.tables["messages"]
    assert set(table["kind"]) == {"message"}
    assert (np.array(table["nbytes"]) == 1004).all()
    assert len(table["kind"]) == 12 * 8 * number
    assert result.summary["bytes_sent"] == 12 * 8 * number * 1004
    assert table["source"].count("host3") == table["target"].count("host3") == 12 * number


def test_t2_a_patient_node_sends_less_often():
    """At most one message under way per peer; each is overlapped with up to patience + 1 steps."""
    cluster = run(8, {"kind": "osgp", "patience": 2}, STEPS, hop=0.2, stop={"time": CUT})
    own = [
        [begin for source, _, _, begin, _ in messages(cluster) if host(source) == i]
        for i in range(8)
    ]
    ends = end_times(cluster, 8, STEPS)
    for i in range(8):
        starts = np.array([0.0, *ends[i, np.isfinite(ends[i])]])
        steps = [int(np.argmin(np.abs(starts - begin))) for begin in own[i]]
        np.testing.assert_allclose(starts[steps], own[i])
        assert 2 <= max(np.diff(steps)) <= 3


@pytest.mark.parametrize(
    "algorithm", [{"kind": "sgp"}, {"kind": "osgp"}, {"kind": "osgp", "patience": 2}]
)
def test_t5_alone_it_is_sgd(algorithm, monkeypatch):
    history = recorded(monkeypatch)
    cluster = run(1, algorithm, STEPS)
    learner, w = Learner(cluster, STEPS), cluster.job.start
    for t in range(STEPS):
        w = w + learner.step(0, t, w)
        np.testing.assert_allclose(history[0, t][0], w, atol=1e-12)


def test_a_step_while_a_message_is_under_way_moves_the_model_by_rate_over_weight(monkeypatch):
    """Patience makes it visible: z moves by twice the step while the weight is 1/2."""
    history, where = recorded(monkeypatch), read(monkeypatch)
    cluster = run(2, {"kind": "osgp", "patience": 1}, 2, hop=10.0, **PLAIN)
    learner = Learner(cluster, 2)
    for i in range(2):
        w0 = where[i, 0]
        np.testing.assert_allclose(w0, cluster.job.start, atol=1e-12)
        assert history[i, 0][1] == 0.5
        moved = w0 - RATE / 0.5 * learner.gradient(i, 0, w0)
        np.testing.assert_allclose(history[i, 0][0], moved, atol=1e-12)
    assert HOP < 10
