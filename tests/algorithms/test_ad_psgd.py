"""AD-PSGD: T2, T4, T35 and R17 as loops written here."""

import heapq
from itertools import pairwise

import numpy as np
import pytest

from simulator.cluster import Worker
from tests.algorithms.gossip import (
    COMPUTE,
    HOP,
    NO_LEARNING,
    PLAIN,
    RATE,
    T_M,
    Learner,
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

RATES = pytest.mark.parametrize("rate", ["step", "back-to-back"])
PAIRS = pytest.mark.parametrize(("graph", "n"), [("complete", 2), ("complete", 5), ("ring", 6)])


def free_running(n, steps):
    """R17 with tickets from a common pool: [(end, rank, own step)], in order."""
    c, left = compute_times(n), n * steps - n
    running = [(c[i, 0], i, 0) for i in range(n)]
    heapq.heapify(running)
    ended = []
    while running:
        end, i, t = heapq.heappop(running)
        ended.append((end, i, t))
        if left:
            left -= 1
            heapq.heappush(running, (end + c[i, t + 1], i, t + 1))
    return ended


def averagings(cluster):
    """(begin, end, odd rank, even rank) of every averaging, by its two messages."""
    found = {}
    for source, target, kind, begin, end in messages(cluster):
        assert kind == "message"
        pair = tuple(sorted((host(source), host(target)), key=lambda rank: rank % 2 == 0))
        found.setdefault((begin, end, *pair), []).append((source, target))
    for (*_, odd, even), both in found.items():
        assert odd % 2 == 1
        assert even % 2 == 0
        assert sorted(both) == sorted(
            [(f"host{odd}", f"host{even}"), (f"host{even}", f"host{odd}")]
        )
    return sorted(found)


@RATES
@PAIRS
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
def test_r17_ad_psgd_never_waits(graph, n, rate, fidelity):
    cluster = run(
        n, {"kind": "ad-psgd", "graph": graph, "rate": rate}, 15, fidelity=fidelity, hop=0.05
    )
    got, expected = end_times(cluster, n, 64), np.full((n, 64), np.nan)
    for end, i, t in free_running(n, 15):
        expected[i, t] = end
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@RATES
@PAIRS
def test_ad_psgd_against_a_loop_over_steps_and_averagings(graph, n, rate, monkeypatch):
    """Every gradient is added to the present model, and what a pair learns while it averages.

    Who averaged with whom and when is read from the messages, checked below.
    """
    history = recorded(monkeypatch)
    cluster = run(n, {"kind": "ad-psgd", "graph": graph, "rate": rate}, 15)
    learner, x = Learner(cluster, 64), np.tile(cluster.job.start, (n, 1))
    events = [(end, 0, i, t) for end, i, t in free_running(n, 15)]
    for begin, end, odd, even in averagings(cluster):
        if end <= cluster.env.now:
            events += [(begin, 2, odd, even), (end, 1, odd, even)]
    # one ends before the next begins, and begins after the step that it waited for
    events = [(round(time, 9), *what) for time, *what in events]
    read_, half, count = x.copy(), {}, np.zeros(n, int)
    before, missed = np.zeros(n, int), []
    for _, what, i, other in sorted(events):
        if what == 0:
            x[i] += learner.step(i, other, read_[i])
            np.testing.assert_allclose(history[i, other][0], x[i], atol=1e-12)
            read_[i] = x[i]
            missed.append(count[i] - before[i])
            before[i] = count[i]
        elif what == 2:
            half[i, other] = (x[other] - x[i]) / 2
        else:
            x[i] += half[i, other]
            x[other] -= half.pop((i, other))
            count[[i, other]] += 1
    table = cluster.trace.steps.columns()
    np.testing.assert_array_equal(table["staleness"], missed)
    assert len(missed) == 15 * n
    for i, (params, _) in enumerate(cluster.evaluated()):
        np.testing.assert_allclose(params, x[i], atol=1e-12)


@pytest.mark.parametrize("hop", [HOP, 0.0])
def test_t35_a_pair_average_conserves_the_sum(hop, monkeypatch):
    """Seen from outside: publications come one per step, two per averaging."""
    seen, original = [], Worker.publish

    def publish(self, params, *rest):
        seen.append((self.cluster.env.now, self.rank, np.array(params)))
        original(self, params, *rest)

    monkeypatch.setattr(Worker, "publish", publish)
    where = read(monkeypatch)
    cluster = run(5, {"kind": "ad-psgd", "rate": "back-to-back"}, 15, hop=hop, **PLAIN)
    learner, ends = Learner(cluster, 64), {end: (i, t) for end, i, t in free_running(5, 15)}
    times = {round(end, 9): who for end, who in ends.items()}
    x, pairs, steps, at = np.tile(cluster.job.start, (5, 1)), 0, 0, 0
    while at < len(seen):
        now, rank, params = seen[at]
        old = x.copy()
        if times.get(round(now, 9), (None,))[0] == rank:
            who = times.pop(round(now, 9))
            x[rank] = params
            # the mean of all changes by - rate g / N
            step = -RATE * learner.gradient(*who, where[who])
            np.testing.assert_allclose(x.mean(0) - old.mean(0), step / 5, atol=1e-12)
            at, steps = at + 1, steps + 1
            continue
        also, other, theirs = seen[at + 1]
        assert also == now
        assert (rank + other) % 2 == 1
        x[rank], x[other] = params, theirs
        np.testing.assert_allclose(params + theirs, old[rank] + old[other], atol=1e-12)
        if not hop:  # nobody can have learned meanwhile
            np.testing.assert_allclose(params, theirs, atol=1e-12)
        at, pairs = at + 2, pairs + 1
    assert steps == 75
    assert pairs > (50 if hop else 15)


@PAIRS
def test_t35_without_gradients_it_comes_to_consensus(graph, n, monkeypatch):
    from simulator.algorithms.pieces.pairs import Models

    original = Models.__init__

    def begin_apart(self, cluster):
        original(self, cluster)
        self.params = [spread(i, cluster.job.start) for i in range(n)]

    monkeypatch.setattr(Models, "__init__", begin_apart)
    cluster = run(
        n, {"kind": "ad-psgd", "graph": graph, "rate": "back-to-back"}, 200, **NO_LEARNING
    )
    mean = np.mean([spread(i, cluster.job.start) for i in range(n)], 0)
    for params, _ in cluster.evaluated():
        np.testing.assert_allclose(params, mean, atol=1e-6)


@RATES
@pytest.mark.parametrize("n", [1, 2, 3, 4, 7, 9])
@pytest.mark.parametrize("graph", ["complete", "ring"])
def test_t35_no_deadlock_and_one_averaging_at_a_time(n, graph, rate):
    """Odd ranks begin, with even ranks; nobody is in two averagings at a time."""
    cluster = run(n, {"kind": "ad-psgd", "graph": graph, "rate": rate}, 60, hop=0.04)
    assert cluster.progress.worker_steps == 60 * n
    found = averagings(cluster)
    assert bool(found) == (n > 1)
    for rank in range(n):
        own = [(begin, end) for begin, end, *pair in found if rank in pair]
        for (_, end), (begin, _) in pairwise(own):
            assert begin >= end * (1 - 1e-12)
    for begin, end, odd, even in found:
        assert end - begin == pytest.approx(0.08, rel=1e-9)
        if graph == "ring":
            assert (odd - even) % n in (1, n - 1)
    if graph == "complete" and n > 3 and rate == "back-to-back":
        partners = {(odd, even) for *_, odd, even in found}
        assert len(partners) == (n // 2) * ((n + 1) // 2)  # every pair, sooner or later


@pytest.mark.parametrize("hop", [0.01, 0.2])
def test_ad_psgd_averages_once_a_step(hop):
    """Of two, when rank 1 has ended a step since the averaging before began, and that is over."""
    cluster = run(2, {"kind": "ad-psgd", "rate": "step"}, 20, hop=hop)
    own = [end for end, i, _ in free_running(2, 20) if i == 1]
    last = max(end for end, _, _ in free_running(2, 20))
    expected, over, begun = [], 0.0, -1.0
    for _ in own:
        fresh = [end for end in own if end > begun]
        if not fresh or max(over, fresh[0]) >= last:
            break
        begun = max(over, fresh[0])
        over = begun + 2 * hop
        expected.append(begun)
    got = [begin for begin, *_ in averagings(cluster)]
    assert len(got) <= len(own)
    np.testing.assert_allclose(got[: len(expected)], expected, rtol=1e-12)


def test_ad_psgd_averages_back_to_back():
    """Of two, the next averaging begins when the last one is over, the first after a step."""
    cluster = run(2, {"kind": "ad-psgd", "rate": "back-to-back"}, 20)
    found = averagings(cluster)
    last = cluster.env.now
    np.testing.assert_allclose([end for _, end, *_ in found[:-1]], [b for b, *_ in found[1:]])
    assert found[0][0] == 0.0 or found[0][0] in [end for end, _, _ in free_running(2, 20)]
    assert len(found) == pytest.approx((last - found[0][0]) / T_M, abs=1.01)


def test_t2_an_averaging_of_ad_psgd_sends_the_model_each_way():
    result = tables(4, {"kind": "ad-psgd"}, 20, workload={"gradient": 1000})
    table = result.tables["messages"]
    assert (np.array(table["nbytes"]) == 1000).all()
    assert result.summary["bytes_sent"] == 1000 * len(table["kind"])
    sent = list(zip(table["source"], table["target"], strict=True))
    for pair in set(sent):
        assert sent.count(pair) == sent.count(pair[::-1])
    steps = result.tables["steps"]
    odd = int(np.isin(steps["worker"], [1, 3]).sum())
    assert odd - 2 <= len(sent) / 2 <= odd  # one per step of those who begin


@RATES
def test_t4_one_slow_node_costs_ad_psgd_its_own_share(rate):
    def counts(factor):
        result = tables(
            4,
            {"kind": "ad-psgd", "rate": rate},
            None,
            stop={"steps": None, "time": "5.01 s"},
            workload={"noise": "none"},
            stragglers=[{"kind": "slow-workers", "workers": [2], "factor": factor}],
        )
        return np.bincount(result.tables["steps"]["worker"], minlength=4)

    fair, slow = counts(1.0), counts(10.0)
    np.testing.assert_array_equal(slow[[0, 1, 3]], fair[[0, 1, 3]])
    assert fair[2] == int(5.01 / COMPUTE)
    assert slow[2] == int(5.01 / (10 * COMPUTE))
