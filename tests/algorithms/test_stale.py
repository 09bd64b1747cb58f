"""Stale-synchronous methods against plain loops: T2, T31, T32, R9, R10."""

import heapq

import numpy as np
import pytest

from simulator.cluster.noise import LognormalNoise
from simulator.engine import Streams
from tests.algorithms.test_local import RATE, TIGHT, Plain, after, record_steps
from tests.algorithms.test_recurrences import STEPS, N, compute_times, ends, ring
from tests.make import merged, played, simulate

MOMENTUM = {"learning": {"dtype": "float64", "optimizer": {"momentum": 0.9, "weight_decay": 0.01}}}
NOISY = pytest.mark.parametrize("noise", ["lognormal", "gamma"])


@pytest.fixture
def history(monkeypatch):
    return record_steps(monkeypatch)


# -- pipelined SGD ---------------------------------------------------------------------


@pytest.mark.parametrize("nesterov", [False, True])
def test_t31_pipelined_sgd_against_a_lock_step_loop(history, nesterov):
    """w(t+1) = w(t) - rate * (mean gradient at w(t-1)); the last one after the final wait."""
    changes = merged(MOMENTUM, {"learning": {"optimizer": {"nesterov": nesterov}}})
    cluster = played(**changes, algorithm={"kind": "pipelined-sgd"})
    plain = Plain(cluster, 12)
    w, v, late = plain.start, 0.0, None

    def moved(w, v, mean):
        q = mean + 0.01 * w
        v = 0.9 * v + q
        return w - RATE * (q + 0.9 * v if nesterov else v), v

    for t in range(12):
        g = plain.grads(np.tile(w, (4, 1)), t).mean(0)
        if late is not None:
            w, v = moved(w, v, late)
        late = g
        np.testing.assert_allclose(after(history, t), np.tile(w, (4, 1)), **TIGHT)
    w, v = moved(w, v, late)
    for worker in cluster.workers:
        np.testing.assert_allclose(worker.params, w, **TIGHT)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_t31_pipelined_replicas_are_bitwise_identical(history, dtype):
    cluster = played(learning={"dtype": dtype}, algorithm={"kind": "pipelined-sgd"})
    for t in range(12):
        rows = after(history, t)
        assert (rows == rows[0]).all()
        assert t == 0 or (rows[0] != history[0, t - 1]).any()  # it learns in every later step
    assert (cluster.workers[3].params == cluster.workers[0].params).all()
    assert (cluster.workers[3].params != history[3, 11]).any()


@pytest.mark.parametrize("gradient", ["1 MB", "200 MB"])
def test_t31_pipelined_sgd_has_the_timeline_of_dc_s3gd(gradient):
    """One all-reduce per step, bytes of sync-sgd, never two at a time."""
    piped, stale, flat = (
        simulate(algorithm={"kind": kind}, workload={"gradient": gradient})
        for kind in ("pipelined-sgd", "dc-s3gd", "sync-sgd")
    )
    for column in ("worker", "step", "start_s", "end_s", "staleness"):
        np.testing.assert_array_equal(piped.tables["steps"][column], stale.tables["steps"][column])
    assert piped.summary["simulated_time_s"] == stale.summary["simulated_time_s"]
    assert piped.summary["bytes_sent"] == flat.summary["bytes_sent"]
    messages = piped.tables["messages"]
    assert messages["kind"] == ["all-reduce"] * 12
    assert (messages["start_s"][1:] >= messages["end_s"][:-1] - 1e-12).all()


@NOISY
@pytest.mark.parametrize("gradient", [1e6, 1e8, 4e8])
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
def test_r9_pipelined_sgd(noise, gradient, fidelity, monkeypatch):
    """L_i(t) = max(f_i(t), A(t-1)); A(t) = max_j L_j(t) + T_ar."""
    monkeypatch.setattr("tests.algorithms.test_recurrences.GRADIENT", gradient)
    got, result = ends(noise, "pipelined-sgd", fidelity=fidelity)
    c, now, a = compute_times(noise), np.zeros(N), -np.inf
    for t in range(STEPS):
        now = np.maximum(now + c[:, t], a)
        a = now.max() + ring(N, gradient)
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)
    assert result.summary["simulated_time_s"] == pytest.approx(a, rel=1e-12)


# -- LAGA ------------------------------------------------------------------------------


class Rounds:
    """LAGA in plain Python: gradients that end one after the other, rounds that lag behind.

    Parameters
    ----------
    c
        Compute time of every worker and step.
    t_ar
        Of a round.
    total
        Gradients to compute; who is ready first takes the next.
    """

    def __init__(self, c, t_ar, total):
        self.ends = {}  # when a worker ends a step
        self.joins = []  # by round: {worker: numbers of the steps that it gives}
        self.read = {}  # (worker, step): rounds in the weights that it was computed at
        self.over = []  # A(r)
        n = len(c)
        joined = np.full(n, -1)  # the newest round that a worker gives something to
        done, rounds_in, own = np.zeros(n, int), np.zeros(n, int), [[] for _ in range(n)]
        times = []  # by round: {worker: J_i}
        started = n
        ready = [(c[i, 0], i) for i in range(n)]
        heapq.heapify(ready)
        for i in range(n):
            self.read[i, 0] = 0

        def over(r):
            return max(times[r].values()) + t_ar if len(times[r]) == n else np.inf

        def join(i, e):
            joined[i] += 1
            if joined[i] == len(times):
                times.append({})
                self.joins.append({})
            times[joined[i]][i], self.joins[joined[i]][i] = e, own[i]
            own[i] = []

        out = set()  # who has no gradient to compute any more, and only waits for rounds

        def wait(until):
            while out and min(over(joined[i]) for i in out) <= until:
                i = min(out, key=lambda i: over(joined[i]))
                join(i, over(joined[i]))

        while ready:
            e, i = heapq.heappop(ready)
            wait(e)
            self.ends[i, int(done[i])] = e
            own[i].append(int(done[i]))
            done[i] += 1
            if joined[i] < 0 or e >= over(joined[i]):
                rounds_in[i] = joined[i] + 1
                join(i, e)
            if started < total:
                started += 1
                self.read[i, int(done[i])] = int(rounds_in[i])
                heapq.heappush(ready, (e + c[i, done[i]], i))
            else:
                out.add(i)
        # Workers learn that they were the last from a round that all join without working.
        ended = max(self.ends.values())
        while len(set(joined)) > 1 or min(times[-1].values()) < ended:
            wait(min(over(joined[i]) for i in out))
        self.over = [over(r) for r in range(len(times))]


LAGA_N = 4
LOGNORMAL = {"kind": "lognormal", "sigma": 0.3}


def laga(compute_factor, latency, noise=LOGNORMAL, **more):
    """A run of four workers whose rounds take twelve latencies."""
    return {
        "topology": {
            "hosts": LAGA_N,
            "gpus_per_host": 0,
            "host_link": {"bandwidth": 1e12, "latency": latency},
        },
        "network": {"all_reduce": "ring"},
        "workload": {"gradient": 4e4, "compute": 1.0, "noise": noise},
        "stragglers": [
            {"kind": "slow-workers", "workers": [i], "factor": factor}
            for i, factor in enumerate(compute_factor)
        ],
        "stop": {"steps": 20},
        "algorithm": {"kind": "laga"} | more,
    }


def laga_times(compute_factor, latency):
    noise = LognormalNoise(sigma=0.3)
    c = np.array([noise.draw(Streams(0).get("noise", i), 128) for i in range(LAGA_N)])
    t_ar = 6 * (2 * latency + (4e4 + 4) / 4 * 8 / 1e12)
    return c * np.array(compute_factor)[:, None], t_ar


SPEEDS = pytest.mark.parametrize("factors", [(1, 1.3, 0.7, 2), (1, 1, 1, 1), (1, 5, 0.4, 1)])
LATENCY = pytest.mark.parametrize("latency", [1e-3, 0.125, 0.5])


@SPEEDS
@LATENCY
def test_r10_laga(factors, latency):
    """Gradients end as if nobody else were there; no span of a wait before the last one."""
    result = simulate(**laga(factors, latency))
    c, t_ar = laga_times(factors, latency)
    rounds = Rounds(c, t_ar, 20 * LAGA_N)
    table = result.tables["steps"]
    got = dict(
        zip(
            zip(table["worker"].tolist(), table["step"].tolist(), strict=True),
            table["end_s"].tolist(),
            strict=True,
        )
    )
    assert got.keys() == rounds.ends.keys()
    for (i, t), end in got.items():
        assert end == pytest.approx(c[i, : t + 1].sum(), rel=1e-12)
        assert rounds.ends[i, t] == pytest.approx(end, rel=1e-12)
    messages = result.tables["messages"]
    over = [
        end for end, kind in zip(messages["end_s"], messages["kind"], strict=True) if "all" in kind
    ]
    np.testing.assert_allclose(over[: len(rounds.over)], rounds.over, rtol=1e-12)


@SPEEDS
def test_t32_no_idle_time_before_the_last_gradient(factors):
    result = simulate(**laga(factors, 0.125))
    steps, spans = result.tables["steps"], result.tables["spans"]
    last = np.array([max(steps["end_s"][steps["worker"] == i]) for i in range(LAGA_N)])
    for worker, lane, kind, start in zip(
        spans["worker"], spans["lane"], spans["kind"], spans["start_s"], strict=True
    ):
        if lane == "worker" and kind != "compute":
            assert start >= last[worker] - 1e-9


@SPEEDS
@LATENCY
@pytest.mark.parametrize("weighting", ["gradients", "workers"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_t32_every_gradient_once_and_one_round_late(history, factors, latency, weighting, momentum):
    """Sums of R10's rounds, applied when a worker joins the next; all agree at the end."""
    learning = {
        "dtype": "float64",
        "optimizer": {"momentum": momentum, "weight_decay": 0.01},
    }
    cluster = played(**laga(factors, latency, weighting=weighting), learning=learning)
    plain = Plain(cluster, 128)
    rounds = Rounds(*laga_times(factors, latency), 20 * LAGA_N)
    weights, v = [plain.start], np.zeros_like(plain.start)  # before and after every round
    given = set()
    for number, parts in enumerate(rounds.joins):
        means, grads = [], []
        for i, steps in sorted(parts.items()):
            assert all(rounds.read[i, t] in (max(number - 1, 0), number) for t in steps)
            own = [plain.grad(weights[rounds.read[i, t]], i, t) for t in steps]
            grads += own
            means += [np.mean(own, axis=0)] if own else []
            given |= {(i, t) for t in steps}
        if grads:
            v = momentum * v + np.mean(means if weighting == "workers" else grads, axis=0)
            v = v + 0.01 * weights[-1]
            weights.append(weights[-1] - RATE * v)
    assert given == rounds.ends.keys()  # none is lost, and a set holds none twice
    assert sum(len(steps) for parts in rounds.joins for steps in parts.values()) == len(given)
    for (i, t), read in rounds.read.items():
        if t:
            np.testing.assert_allclose(history[i, t - 1], weights[read], **TIGHT)
    for worker in cluster.workers:
        np.testing.assert_allclose(worker.params, weights[-1], **TIGHT)


def test_t32_counts_are_proportional_to_speed():
    """c = 1, 1.3, 0.7, 2 s and T_ar just below 1.5 s: 2-3, 2, 3-4, 1-2 gradients per round."""
    result = simulate(**laga((1, 1.3, 0.7, 2), 0.12499, noise="none"))
    messages, steps = result.tables["messages"], result.tables["steps"]
    over = np.array(messages["end_s"])[:8]
    for worker, allowed in enumerate([{2, 3}, {2}, {3, 4}, {1, 2}]):
        ends = steps["end_s"][steps["worker"] == worker]
        joins = np.searchsorted(ends, over)  # the first gradient that ends after a round is over
        assert set(np.diff(joins).tolist()) == allowed


def test_t2_laga_sends_the_model_and_a_count_per_round():
    result = simulate(**laga((1, 1.3, 0.7, 2), 0.125))
    count = len(Rounds(*laga_times((1, 1.3, 0.7, 2), 0.125), 20 * LAGA_N).over)
    assert result.tables["messages"]["kind"] == ["all-reduce"] * count
    assert result.summary["bytes_sent"] == pytest.approx(count * 2 * 3 * (4e4 + 4))
