"""Eager-SGD: T2, T5, T38 and R18, R19 as loops written here, and the waits of section 5."""

import heapq
from pathlib import Path

import numpy as np
import pytest

from simulator.algorithms.pieces.leftovers import Leftovers
from simulator.engine import Streams
from tests.algorithms.gossip import (
    PLAIN,
    RATE,
    SEED,
    Learner,
    compute_times,
    end_times,
    messages,
    read,
    recorded,
    ring,
    run,
    tables,
)
from tests.make import simulate

N, STEPS = 8, 30
HOP = 5e-4  # so short that a slow worker misses several rounds
QUORA = pytest.mark.parametrize("quorum", ["solo", "majority"])
T_ACT = 3 * 2 * HOP  # log2 of 8 rounds over two links


def initiators(n, steps):
    """The rank drawn for every round."""
    rng = Streams(SEED).get("initiator")
    return [int(rng.integers(n)) for _ in range(steps)]


def eagerly(cluster, quorum, results, every, hop, steps=STEPS, n=N):
    """(time, rank, step, w) of every step as it would be, and what is still to be contributed."""
    learner, c, drawn = Learner(cluster, steps), compute_times(n), initiators(n, steps)
    t_act, t_ar = (n - 1).bit_length() * 2 * hop, ring(n, hop)
    w = [cluster.job.start.copy() for _ in range(n)]
    zero = np.zeros_like(cluster.job.start)
    pending, step = [zero.copy() for _ in range(n)], [0] * n
    queue = [(c[i, 0], i, "computed") for i in range(n)]
    heapq.heapify(queue)
    over, under_way, waiting, meeting, finished = [], None, [], [], []

    def go_on(i, now):
        finished.append((now, i, step[i], w[i].copy()))
        step[i] += 1
        if step[i] < steps:
            heapq.heappush(queue, (now + c[i, step[i]], i, "computed"))

    def apply(i, now):
        result = over[-1] if results == "latest" else over[step[i]]
        w[i] = w[i] + learner.change(i, result / n, w[i])
        if every is None or (step[i] + 1) % every:
            go_on(i, now)
            return
        meeting.append(i)
        if len(meeting) == n:
            heapq.heappush(queue, (now + t_ar, -1, "averaged"))

    while queue:
        now, i, what = heapq.heappop(queue)
        if what == "computed":
            t = step[i]
            pending[i] = pending[i] + learner.gradient(i, t, w[i])
            if t < len(over):
                apply(i, now)
                continue
            waiting.append(i)
            if under_way is None and (quorum == "solo" or drawn[t] == i):
                under_way = t
                heapq.heappush(queue, (now + t_act, -1, "activated"))
        elif what == "activated":
            under_way = sum(pending)
            pending = [zero.copy() for _ in range(n)]
            heapq.heappush(queue, (now + t_ar, -1, "over"))
        elif what == "over":
            over.append(under_way)
            under_way, ready, waiting = None, waiting, []
            for one in ready:
                apply(one, now)
        else:
            mean, all_, meeting = np.mean(w, 0), meeting, []
            for one in all_:
                w[one] = mean
                go_on(one, now)
    return finished, pending


@QUORA
@pytest.mark.parametrize("results", ["latest", "all"])
@pytest.mark.parametrize("every", [None, 1, 7])
@pytest.mark.parametrize(("hop", "fidelity"), [(HOP, "alpha-beta"), (0.004, "flow")])
def test_eager_sgd_against_a_loop_over_events(quorum, results, every, hop, fidelity, monkeypatch):
    """T38: what is late is contributed later, once; who is late uses the newest result, or each."""
    history = recorded(monkeypatch)
    algorithm = {"kind": "eager-sgd", "quorum": quorum, "results": results}
    cluster = run(N, algorithm | {"average_every": every}, STEPS, hop=hop, fidelity=fidelity)
    finished, _ = eagerly(cluster, quorum, results, every, hop)
    got = end_times(cluster, N, STEPS)
    assert len(finished) == N * STEPS
    for now, i, t, w in finished:
        assert got[i, t] == pytest.approx(now, rel=1e-12)
        np.testing.assert_allclose(history[i, t][0], w, atol=1e-12)


@QUORA
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
def test_r18_r19_eager_sgd(quorum, fidelity):
    """C = f of the first, or of the one drawn, + T_act + T_ar; L_i = max(f_i, C)."""
    algorithm = {"kind": "eager-sgd", "quorum": quorum, "average_every": None}
    got = end_times(run(N, algorithm, STEPS, fidelity=fidelity, hop=HOP), N, STEPS)
    c, drawn, now = compute_times(N), initiators(N, STEPS), np.zeros(N)
    for t in range(STEPS):
        f = now + c[:, t]
        begin = f.min() if quorum == "solo" else f[drawn[t]]
        now = np.maximum(f, begin + T_ACT + ring(N, HOP))
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)


@QUORA
@pytest.mark.parametrize("results", ["latest", "all"])
def test_t38_contributed_and_pending_are_all_computed_gradients(quorum, results, monkeypatch):
    """With all results everybody ends at w0 - rate / N times what was contributed."""
    kept, original = [], Leftovers.__init__

    def remember(self, *arguments):
        kept.append(self)
        original(self, *arguments)

    monkeypatch.setattr(Leftovers, "__init__", remember)
    where = read(monkeypatch)
    algorithm = {"kind": "eager-sgd", "quorum": quorum, "results": results, "average_every": None}
    cluster = run(N, algorithm, STEPS, hop=HOP, **PLAIN)
    learner = Learner(cluster, STEPS)
    computed = sum(learner.gradient(i, t, w) for (i, t), w in where.items())
    zero = np.zeros_like(cluster.job.start)
    pending = sum((part for part in kept[0].pending if part is not None), zero)
    assert len(where) == N * STEPS
    # whether somebody comes after the last round depends on who is drawn
    assert np.abs(pending).max() > 1e-3 or quorum == "majority"
    ends = np.array([params for params, _ in cluster.evaluated()])
    if results == "latest":
        assert np.ptp(ends, axis=0).max() > 1e-4  # replicas drift apart
        return
    for params in ends:
        contributed = (cluster.job.start - params) * N / RATE
        np.testing.assert_allclose(contributed + pending, computed, atol=1e-12 * N / RATE * 10)


@QUORA
def test_t38_if_all_come_together_it_is_sync_sgd(quorum, monkeypatch):
    history = recorded(monkeypatch)
    quiet = {"workload": {"noise": "none"}, "stragglers": []}
    run(N, {"kind": "sync-sgd"}, STEPS, hop=HOP, **quiet)
    flat = dict(history)
    history.clear()
    cluster = run(N, {"kind": "eager-sgd", "quorum": quorum}, STEPS, hop=HOP, **quiet)
    for key, (w, _) in flat.items():
        np.testing.assert_allclose(history[key][0], w, atol=1e-12)
    assert cluster.env.now == pytest.approx(STEPS * (0.1 + T_ACT + ring(N, HOP)))


def test_t38_models_are_averaged_exactly_every_so_often(monkeypatch):
    history = recorded(monkeypatch)
    run(N, {"kind": "eager-sgd", "average_every": 6}, STEPS, hop=HOP)
    for t in range(STEPS):
        w = np.array([history[i, t][0] for i in range(N)])
        if (t + 1) % 6 == 0:
            assert np.ptp(w, axis=0).max() == 0
        elif (t + 1) % 6 == 5:
            assert np.ptp(w, axis=0).max() > 1e-3  # replicas have drifted apart


def test_averaging_every_so_often_is_by_default_rare():
    result = tables(2, {"kind": "eager-sgd"}, 200)
    kinds = result.tables["messages"]["kind"]
    assert kinds.count("all-reduce") == 200 + 2


def skewed(quorum, steps):
    """32 processes that arrive 1 ms apart, all beginning together after an exact averaging."""
    rows = [f"{i},{t},{1 + i}" for i in range(32) for t in range(steps)]
    Path("skew.csv").write_text("\n".join(["worker,step,factor", *rows]) + "\n")
    cluster = run(
        32,
        {"kind": "eager-sgd", "quorum": quorum, "average_every": 1},
        steps,
        hop=0.0,
        workload={"compute": 1e-3, "noise": "none"},
        stragglers=[{"kind": "replayed", "path": "skew.csv"}],
    )
    return cluster, end_times(cluster, 32, steps)


@pytest.mark.parametrize("quorum", ["solo", "majority"])
def test_t38_waits_of_processes_that_arrive_one_after_the_other(quorum, tmp_path, monkeypatch):
    """Means of 15.5 ms for all-reduce, 5.33 ms for majority, 0 for solo; 1 or 16.5 are active."""
    monkeypatch.chdir(tmp_path)
    steps = 400
    cluster, ends = skewed(quorum, steps)
    begins = np.concatenate([[0.0], ends[0, :-1]])
    arrivals = begins + 1e-3 * np.arange(1, 33)[:, None]  # [i, t]
    np.testing.assert_allclose(ends, np.tile(arrivals[-1], (32, 1)))  # the exact averaging
    triggered = [begin for _, _, kind, begin, _ in messages(cluster) if kind == "activation"]
    assert len(triggered) == steps
    waits = np.maximum(0, np.array(triggered) - arrivals)
    active = (arrivals <= np.array(triggered) + 1e-9).sum(0)
    np.testing.assert_allclose(waits.max(0), 1e-3 * (active - 1), atol=1e-9)
    in_all = (arrivals[-1] - arrivals).mean()
    assert in_all == pytest.approx(15.5e-3)
    if quorum == "solo":
        assert (active == 1).all()
        assert waits.mean() == pytest.approx(0, abs=1e-9)
        return
    # 400 draws: standard errors are 0.46 and 0.24 ms
    assert active.mean() == pytest.approx(16.5, abs=1.4)
    assert waits.mean() == pytest.approx(5.33e-3, abs=0.7e-3)
    assert set(active) == set(range(1, 33))
    # given who was drawn there is no chance in it: r (r + 1) / 2 ms over 32
    r = active - 1
    np.testing.assert_allclose(waits.mean(0), 1e-3 * r * (r + 1) / 64, atol=1e-9)
    possible = np.arange(32)
    assert (possible * (possible + 1) / 64).mean() == pytest.approx(5.33, abs=0.01)


@QUORA
def test_t2_activations_are_empty_and_every_round_is_an_all_reduce(quorum):
    algorithm = {"kind": "eager-sgd", "quorum": quorum, "average_every": 5}
    result = tables(N, algorithm, 20, hop=HOP, workload={"gradient": 1000})
    kinds = result.tables["messages"]["kind"]
    assert kinds.count("activation") == 20
    assert kinds.count("all-reduce") == 20 + 4
    assert len(kinds) == 44
    assert result.summary["bytes_sent"] == pytest.approx(24 * 2 * (N - 1) * 1000)
    table = result.tables["messages"]
    spent = [
        end - begin
        for kind, begin, end in zip(kinds, table["start_s"], table["end_s"], strict=True)
        if kind == "activation"
    ]
    np.testing.assert_allclose(spent, T_ACT, rtol=1e-9)


def test_the_all_reduce_takes_what_the_scenario_says():
    """T_ar of a ring with bandwidth, homogeneous."""
    result = simulate(
        topology={"kind": "star", "hosts": 4, "gpus_per_host": 0},
        network={"all_reduce": "ring"},
        workload={"noise": "none"},
        algorithm={"kind": "eager-sgd"},
    )
    one = 0.05 + 2 * 20e-6 + 6 * (20e-6 + 2.5e6 * 8 / 10e9)
    assert result.summary["simulated_time_s"] == pytest.approx(12 * one, rel=1e-9)


@QUORA
@pytest.mark.parametrize("results", ["latest", "all"])
def test_t5_alone_it_is_sgd(quorum, results, monkeypatch):
    history = recorded(monkeypatch)
    cluster = run(1, {"kind": "eager-sgd", "quorum": quorum, "results": results}, STEPS)
    learner, w = Learner(cluster, STEPS), cluster.job.start
    for t in range(STEPS):
        w = w + learner.step(0, t, w)
        np.testing.assert_allclose(history[0, t][0], w, atol=1e-12)


@pytest.mark.parametrize("n", [3, 6])
@QUORA
def test_any_number_of_ranks(n, quorum):
    """Where N is no power of two, an activation folds the others in and out."""
    cluster = run(n, {"kind": "eager-sgd", "quorum": quorum, "average_every": None}, STEPS, hop=HOP)
    got, c = end_times(cluster, n, STEPS), compute_times(n)
    f = c[:, 0].min() if quorum == "solo" else c[initiators(n, 1)[0], 0]
    rounds = n.bit_length() - 1 + 2
    first = np.maximum(c[:, 0], f + rounds * 2 * HOP + ring(n, HOP))
    np.testing.assert_allclose(got[:, 0], first, rtol=1e-12)
