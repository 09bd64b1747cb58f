"""Timing recurrences as oracles: max-plus loops that know nothing of the engine (T3, T12).

Compute and loading times are drawn here from the named streams, step by step, and the
end of every worker's steps is compared with what the simulation recorded.
"""

import heapq

import numpy as np
import pytest

from simulator.cluster.noise import GammaNoise, LognormalNoise
from simulator.engine import Streams
from tests.make import simulate

N, STEPS, SEED = 6, 30, 3
COMPUTE, SLOW = 0.1, 2.5
NIC, LATENCY = 10e9, 1e-5
GRADIENT = 1e8
NOISES = {
    "lognormal": ({"kind": "lognormal", "sigma": 0.4}, LognormalNoise(sigma=0.4)),
    "gamma": ({"kind": "gamma", "cv": 0.7}, GammaNoise(cv=0.7)),
    "correlated": ({"kind": "lognormal", "sigma": 0.4, "correlation": 0.8}, None),
}
BOTH = pytest.mark.parametrize("noise", NOISES)
LATE, DELAY, SPEED = 2, 0.07, 0.6  # late workers per step, their delay, speed of host 0


def compute_times(noise, hosts=N):
    """c[i, t]: worker 1 and host 0 are slow, two others late in each step, noise on top."""
    c = np.array([COMPUTE * noise_of(noise, i) for i in range(N)])
    c[: N // hosts] /= SPEED
    c[1] *= SLOW
    late = Streams(SEED).get("straggler", 1, 0)
    for t in range(64):
        c[late.permutation(N)[:LATE], t] += DELAY
    return c


def noise_of(noise, worker):
    """Factors of one worker; correlated ones by the recursion of AR(1) on the logarithm."""
    rng, independent = Streams(SEED).get("noise", worker), NOISES[noise][1]
    if independent is not None:
        return independent.draw(rng, 64)
    z = rng.standard_normal(64)
    for t in range(1, 64):
        z[t] = 0.8 * z[t - 1] + 0.6 * z[t]
    return np.exp(0.4 * z - 0.08)


def load_times(mean, cv):
    """T_io of a disk with gamma latencies, drawn from the workers' own streams."""
    return np.array(
        [mean * GammaNoise(cv=cv).draw(Streams(SEED).get("load", i), 64) for i in range(N)]
    )


def ends(noise, kind, steps=STEPS, hosts=N, gpus=0, storage="none", fidelity="flow", **more):
    """L[i, t]: recorded end of step t of worker i."""
    result = simulate(
        seed=SEED,
        topology={
            "hosts": hosts,
            "gpus_per_host": gpus,
            "host_link": {"bandwidth": NIC, "latency": LATENCY},
            "intra_host": {"bandwidth": 1e11, "latency": 5e-6},
        },
        network={"all_reduce": "ring", "fidelity": fidelity},
        workload={"gradient": GRADIENT, "compute": COMPUTE, "noise": NOISES[noise][0]},
        hosts=[{"hosts": 0, "speed": SPEED}],
        stragglers=[
            {"kind": "slow-workers", "workers": [1], "factor": SLOW},
            {"kind": "random-workers", "count": LATE, "delay": DELAY},
        ],
        storage=storage,
        algorithm={"kind": kind} | more,
        stop={"steps": steps},
    )
    table = result.tables["steps"]
    finished = np.full((N, steps), np.nan)
    for worker, step, end in zip(table["worker"], table["step"], table["end_s"], strict=True):
        if step < steps:
            finished[worker, step] = end
    return finished, result


def ring(n, nbytes=GRADIENT):
    """Closed form on a star: 2(n-1) rounds over two links."""
    return 2 * (n - 1) * (2 * LATENCY + nbytes / n * 8 / NIC)


@BOTH
def test_r1_sync_sgd(noise):
    """L(t) = max_j(L(t-1) + T_io,j + c_j(t)) + T_ar."""
    disk = {
        "kind": "local-disk",
        "latency": {"kind": "gamma", "mean": 0.05, "cv": 0.5},
        "bandwidth": 1e12,
    }
    got, _ = ends(noise, "sync-sgd", storage=disk)
    c, now = compute_times(noise), 0.0
    io = np.array(
        [0.05 * GammaNoise(cv=0.5).draw(Streams(SEED).get("load", i), 64) for i in range(N)]
    )
    io += 64 * 110_000 * 8 / 1e12
    for t in range(STEPS):
        now = max(now + io[j, t] + c[j, t] for j in range(N)) + ring(N)
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)


@BOTH
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_r5_layered_sgd(noise, groups):
    """T12.  C_q = max F_i + T_red; A = max C_q + T_gar; b_i = max(A, R_i + T_io,i) + T_bc."""
    disk = {
        "kind": "local-disk",
        "latency": {"kind": "gamma", "mean": 0.2, "cv": 0.8},
        "bandwidth": 1e12,
    }
    got, _ = ends(noise, "layered-sgd", hosts=groups, gpus=N // groups, storage=disk)
    c = compute_times(noise, groups)
    io = np.array(
        [0.2 * GammaNoise(cv=0.8).draw(Streams(SEED).get("load", i), 64) for i in range(N)]
    )
    io += 64 * 110_000 * 8 / 1e12
    inside = 5e-6 + GRADIENT * 8 / 1e11  # T_red, T_bc and R_i - F_i alike
    between = ring(groups) if groups > 1 else 0.0
    f = io[:, 0] + c[:, 0]
    members = np.arange(N).reshape(groups, -1)
    for t in range(STEPS):
        r = f + inside
        a = max(f[own].max() + inside for own in members) + between
        loaded = r + io[:, t + 1] if t + 1 < STEPS else r
        b = np.maximum(a, loaded) + inside
        np.testing.assert_allclose(got[:, t], b, rtol=1e-12)
        if t + 1 < STEPS:
            f = b + c[:, t + 1]


@BOTH
@pytest.mark.parametrize("period", [1, 5, 8])
def test_r6_local_sgd(noise, period):
    """Every H steps: L = max_j(L_prev + sum of H c_j) + T_ar; nobody waits in between."""
    got, _ = ends(noise, "local-sgd", period=period)
    c, now = compute_times(noise), np.zeros(N)
    for t in range(STEPS):
        now = now + c[:, t]
        if (t + 1) % period == 0:
            now = np.full(N, now.max() + ring(N))
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)


@BOTH
@pytest.mark.parametrize("gradient", [1e6, 1e8, 4e8])
def test_r9_dc_s3gd(noise, gradient, monkeypatch):
    """L_i(t) = max(f_i(t), A(t-1)); A(t) = max_j L_j(t) + T_ar."""
    monkeypatch.setitem(globals(), "GRADIENT", gradient)
    got, result = ends(noise, "dc-s3gd")
    c, now, a = compute_times(noise), np.zeros(N), -np.inf
    for t in range(STEPS):
        now = np.maximum(now + c[:, t], a)
        a = now.max() + ring(N, gradient)
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)
    assert result.summary["simulated_time_s"] == pytest.approx(a, rel=1e-12)  # the final wait


def server_queue(c, nbytes, steps):
    """A parameter server with one NIC, first come first served in both directions (R12)."""
    x = nbytes * 8 / NIC
    ready = [(c[i, 0], i, 0) for i in range(N)]
    heapq.heapify(ready)
    into = out = 0.0
    end, done, total = np.full((N, 64), np.nan), np.zeros(N, int), N * steps
    started = N
    while ready:
        now, i, t = heapq.heappop(ready)
        into = max(now + 2 * LATENCY, into) + x
        # the reply leaves when the request is in and the replies before it are out
        out = max(into, out) + x
        end[i, t] = out + 2 * LATENCY
        done[i] += 1
        if started < total:
            started += 1
            heapq.heappush(ready, (end[i, t] + c[i, t + 1], i, t + 1))
    return end, done


def server_sharing(c, nbytes, steps):
    """The same server whose NIC all transfers share evenly: two processor-sharing queues."""
    waits = [[c[i, 0], i, 0, "computes"] for i in range(N)]  # due, worker, step, what
    shared = {"push": [], "pull": []}  # [bytes left, worker, step]
    end, done, now, started = np.full((N, 64), np.nan), np.zeros(N, int), 0.0, N
    while waits or shared["push"] or shared["pull"]:
        rates = {way: NIC / 8 / max(1, len(open_)) for way, open_ in shared.items()}
        over = [now + one[0] / rates[way] for way, open_ in shared.items() for one in open_]
        due = min([wait[0] for wait in waits] + over)
        for way, open_ in shared.items():
            for one in open_:
                one[0] -= rates[way] * (due - now)
        now = due
        for wait in [wait for wait in waits if wait[0] == now]:
            waits.remove(wait)
            _, i, t, what = wait
            if what == "computes":  # the latency of the route comes first
                waits.append([now + 2 * LATENCY, i, t, "push"])
            else:
                shared[what].append([nbytes, i, t])
        for way, open_ in shared.items():
            for one in [one for one in open_ if one[0] < 1e-3]:
                open_.remove(one)
                _, i, t = one
                if way == "push":
                    waits.append([now + 2 * LATENCY, i, t, "pull"])
                    continue
                end[i, t] = now
                done[i] += 1
                if started < N * steps:
                    started += 1
                    waits.append([now + c[i, t + 1], i, t + 1, "computes"])
    return end, done


@BOTH
@pytest.mark.parametrize("gradient", [1e5, 2e7])
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
def test_r12_async_ps(noise, gradient, fidelity, monkeypatch):
    """L_i(t) = f_i(t) + queueing and transfer at the server; fast workers do more steps."""
    monkeypatch.setitem(globals(), "GRADIENT", gradient)
    got, result = ends(noise, "async-ps", steps=20, fidelity=fidelity)
    server = server_queue if fidelity == "alpha-beta" else server_sharing
    expected, done = server(compute_times(noise), gradient, 20)
    counts = np.bincount(result.tables["steps"]["worker"], minlength=N)
    np.testing.assert_array_equal(counts, done)
    for i in range(N):
        upto = min(done[i], 20)
        np.testing.assert_allclose(got[i, :upto], expected[i, :upto], rtol=1e-10)


@pytest.mark.parametrize("fidelity", ["flow", "message"])
def test_r3_period_of_equal_workers_at_a_server(fidelity):
    """c + 2a + 2N x where all share the server's links evenly."""
    result = simulate(
        topology={
            "hosts": N,
            "gpus_per_host": 0,
            "host_link": {"bandwidth": NIC, "latency": LATENCY},
        },
        network={"fidelity": fidelity},
        workload={"gradient": GRADIENT, "compute": COMPUTE, "noise": "none"},
        algorithm={"kind": "async-ps"},
        stop={"steps": 10},
    )
    steps = result.tables["steps"]
    last = dict(zip(steps["worker"].tolist(), steps["end_s"].tolist(), strict=True))
    first = dict(zip(steps["worker"][::-1].tolist(), steps["end_s"][::-1].tolist(), strict=True))
    for worker in range(N):
        period = (last[worker] - first[worker]) / 9
        assert period == pytest.approx(COMPUTE + 4 * LATENCY + 2 * N * GRADIENT * 8 / NIC)


def test_r9_homogeneous_period():
    """max(c, T_ar) for DC-S3GD against c + T_ar for sync-sgd; never better than twice."""

    def period(kind, nbytes):
        result = simulate(
            topology={
                "hosts": 4,
                "gpus_per_host": 0,
                "host_link": {"bandwidth": NIC, "latency": LATENCY},
            },
            network={"all_reduce": "ring"},
            stop={"steps": 50},
            workload={"gradient": nbytes, "compute": 0.1, "noise": "none"},
            algorithm={"kind": kind},
        )
        steps = result.tables["steps"]
        return (steps["end_s"].max() - steps["end_s"].min()) / 49

    for nbytes in (1e6, 1e8, 5e8):
        t_ar = ring(4, nbytes)
        assert period("sync-sgd", nbytes) == pytest.approx(0.1 + t_ar)
        assert period("dc-s3gd", nbytes) == pytest.approx(max(0.1, t_ar))
