"""Local SGD and its relatives in time: R6, R7, R8 as max-plus loops."""

import numpy as np
import pytest

from tests.algorithms.test_recurrences import STEPS, N, compute_times, ends, ring
from tests.make import simulate

NOISY = pytest.mark.parametrize("noise", ["lognormal", "correlated"])


@NOISY
@pytest.mark.parametrize(
    ("kind", "setting"), [("k-avg", "k"), ("sasgd", "interval"), ("post-local-sgd", "period")]
)
def test_r6_k_avg_sasgd_and_post_local_sgd(noise, kind, setting):
    """Every H steps: L = max_j(L_prev + sum of H c_j) + T_ar; nobody waits in between."""
    more = {"switch": 7} if kind == "post-local-sgd" else {}
    got, _ = ends(noise, kind, **{setting: 4}, **more)
    c, now = compute_times(noise), np.zeros(N)
    for t in range(STEPS):
        now = now + c[:, t]
        if t < more.get("switch", 0) or (t + 1) % 4 == 0:
            now = np.full(N, now.max() + ring(N))
        np.testing.assert_allclose(got[:, t], now, rtol=1e-12)


@NOISY
@pytest.mark.parametrize(("k1", "k2"), [(1, 4), (2, 6), (3, 4)])
@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_r7_hier_avg(noise, k1, k2, size):
    """Groups wait inside at multiples of K1, all for all at multiples of K2."""
    got, _ = ends(noise, "hier-avg", k1=k1, k2=k2, group_size=size)
    c, now = compute_times(noise), np.zeros(N)
    for t in range(1, STEPS + 1):
        now = now + c[:, t - 1]
        if t % k2 == 0:
            now = np.full(N, now.max() + ring(N))
        elif t % k1 == 0:
            latest = now.reshape(-1, size).max(1)
            now = np.repeat(latest + (ring(size) if size > 1 else 0.0), size)
        np.testing.assert_allclose(got[:, t - 1], now, rtol=1e-12)


def test_r7_hier_avg_within_hosts():
    """By default a group is a host, whose averaging never touches the network between hosts."""
    got, result = ends("lognormal", "hier-avg", hosts=2, gpus=3, k1=2, k2=100)
    inside = 2 * 2 * (2 * 5e-6 + 1e8 / 3 * 8 / 1e11)  # over the host's two links
    c, now = compute_times("lognormal", 2), np.zeros(N)
    for t in range(1, STEPS + 1):
        now = now + c[:, t - 1]
        if t % 2 == 0:
            now = np.repeat(now.reshape(2, 3).max(1) + inside, 3)
        np.testing.assert_allclose(got[:, t - 1], now, rtol=1e-12)
    links = result.tables["links"]
    for source, target, nbytes in zip(
        links["source"], links["target"], links["nbytes"], strict=True
    ):
        assert (nbytes > 0) == ("gpu" in source or "gpu" in target)


@NOISY
@pytest.mark.parametrize("gradient", [1e6, 1e8, 6e8])
@pytest.mark.parametrize(("period", "delay"), [(1, 1), (4, 0), (4, 1), (4, 3), (4, 4)])
def test_r8_delayed_averaging(noise, gradient, period, delay, monkeypatch):
    """A_k = max_j L_j(kH) + T_ar; L_i(kH+d) = max(f_i, A_k), else L_i = f_i."""
    monkeypatch.setattr("tests.algorithms.test_recurrences.GRADIENT", gradient)
    got, result = ends(noise, "delayed-averaging", period=period, delay=delay)
    c, now, a = compute_times(noise), np.zeros(N), -np.inf
    for t in range(1, STEPS + 1):
        now = now + c[:, t - 1]
        if delay and t > delay and (t - delay) % period == 0:
            now = np.maximum(now, a)
        if t % period == 0:
            a = now.max() + ring(N, gradient)
            now = now if delay else np.full(N, a)
        np.testing.assert_allclose(got[:, t - 1], now, rtol=1e-12)
    end = max(a, now.max())
    assert result.summary["simulated_time_s"] == pytest.approx(end, rel=1e-12)


def test_r8_hidden_communication_and_what_shows():
    """Homogeneous workers: max(0, T_ar - d c) per H steps is exposed."""
    for nbytes in (1e7, 1e8, 1e9):
        result = simulate(
            topology={
                "hosts": 4,
                "gpus_per_host": 0,
                "host_link": {"bandwidth": 10e9, "latency": 1e-5},
            },
            network={"all_reduce": "ring"},
            workload={"gradient": nbytes, "compute": 0.1, "noise": "none"},
            algorithm={"kind": "delayed-averaging", "period": 5, "delay": 2},
            stop={"steps": 43},
        )
        exposed = max(0.0, ring(4, nbytes) - 2 * 0.1)
        assert max(result.tables["steps"]["end_s"]) == pytest.approx(43 * 0.1 + 8 * exposed)
