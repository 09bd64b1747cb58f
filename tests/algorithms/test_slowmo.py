"""SlowMo on top of several base methods against plain loops: T2, T19."""

import numpy as np
import pytest

from simulator.cluster import Worker
from tests.algorithms.test_local import RATE, TIGHT, Plain
from tests.make import merged, played, simulate

MOMENTUM = {"learning": {"dtype": "float64", "optimizer": {"momentum": 0.9, "weight_decay": 0.01}}}
DECAY = {"learning": {"dtype": "float64", "optimizer": {"weight_decay": 0.01}}}


@pytest.fixture
def outer(monkeypatch):
    """What every worker published: {rank: [params]}; the last of each outer iteration counts."""
    kept = {}
    original = Worker.publish

    def publish(self, params, *rest, **more):
        kept.setdefault(self.rank, []).append((self.finished, params.copy()))
        original(self, params, *rest, **more)

    monkeypatch.setattr(Worker, "publish", publish)
    return kept


def begun_with(outer, steps, ranks=4):
    """Parameters of all workers with which the outer iteration after *steps* steps begins."""
    return np.array([dict(outer[rank])[steps] for rank in range(ranks)])


def slowmo(base, period=4, beta=0.6, alpha=1.0, **more):
    more = {"slow_momentum": beta, "slow_rate": alpha} | more
    return {"kind": "slowmo", "base": base, "period": period} | more


@pytest.mark.parametrize("base", ["local-sgd", "k-avg", "sync-sgd", "hier-avg", "sgp"])
def test_t19_tau_one_and_alpha_one_is_sync_sgd_with_heavy_ball(base):
    """The slow buffer is a velocity then, whatever takes the step."""
    for beta in (0.0, 0.7):
        heavy = merged(DECAY, {"learning": {"optimizer": {"momentum": beta}}})
        flat = played(**heavy)
        slow = played(**DECAY, algorithm=slowmo({"kind": base}, period=1, beta=beta))
        for worker in slow.workers:
            np.testing.assert_allclose(worker.params, flat.workers[0].params, **TIGHT)


def test_t19_without_slow_momentum_it_is_the_base_method():
    """alpha = 1, beta = 0, buffers kept: local SGD as it is."""
    base = {"kind": "local-sgd", "period": 4}
    plain = played(**MOMENTUM, algorithm=base)
    slow = played(**MOMENTUM, algorithm=slowmo(base, beta=0.0, buffers="keep"))
    assert plain.env.now == slow.env.now
    for one, two in zip(plain.workers, slow.workers, strict=True):
        np.testing.assert_allclose(two.params, one.params, **TIGHT)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 1.3])
@pytest.mark.parametrize("base", ["local-sgd", "sync-sgd", "sgp", "d-psgd"])
def test_t19_one_worker_without_slow_momentum_is_lookahead(outer, alpha, base):
    """Fast weights run ahead for k steps, slow weights follow a part of the way."""
    alone = merged(MOMENTUM, {"topology": {"hosts": 1, "gpus_per_host": 1}})
    algorithm = slowmo({"kind": base}, period=5, beta=0.0, alpha=alpha, buffers="keep")
    plain = Plain(played(**alone, algorithm=algorithm), 12)
    slow, v = plain.start, 0.0
    for first in (0, 5, 10):
        fast = slow
        for t in range(first, min(12, first + 5)):
            v = 0.9 * v + plain.grad(fast, 0, t) + 0.01 * fast
            fast = fast - RATE * v
        slow = slow + alpha * (fast - slow)
        np.testing.assert_allclose(begun_with(outer, min(12, first + 5), 1)[0], slow, **TIGHT)


def averaged(w, t, every):
    return np.tile(w.mean(0), (len(w), 1)) if (t + 1) % every == 0 else w


@pytest.mark.parametrize("buffers", ["reset", "keep", "average"])
@pytest.mark.parametrize("base_period", [2, 4, 5, 100])
@pytest.mark.parametrize(("beta", "alpha"), [(0.6, 1.0), (0.4, 0.8)])
def test_t19_over_local_sgd_against_a_lock_step_loop(outer, buffers, base_period, beta, alpha):
    """u = beta u + (x_0 - x_tau) / rate; x = x_0 - alpha rate u; x_tau an exact average."""
    base = {"kind": "local-sgd", "period": base_period}
    algorithm = slowmo(base, period=4, beta=beta, alpha=alpha, buffers=buffers)
    cluster = played(**MOMENTUM, algorithm=algorithm, stop={"steps": 18})
    plain = Plain(cluster, 18)
    w, v = plain.replicas()
    x, u = plain.start, 0.0
    for t in range(18):
        v = 0.9 * v + plain.grads(w, t) + 0.01 * w
        w = averaged(w - RATE * v, t, base_period)
        if t in (3, 7, 11, 15, 17):  # the last outer iteration is cut short
            u = beta * u + (x - w.mean(0)) / RATE
            x = x - alpha * RATE * u
            w = np.tile(x, (4, 1))
            np.testing.assert_allclose(begun_with(outer, t + 1), w, **TIGHT)
            if buffers != "keep":
                v = np.zeros_like(v) if buffers == "reset" else np.tile(v.mean(0), (4, 1))
    for worker in cluster.workers:
        np.testing.assert_allclose(worker.params, x, **TIGHT)


def test_t19_without_the_average_everybody_has_a_buffer_of_its_own(outer):
    base = {"kind": "k-avg", "k": 7}
    plain = Plain(played(**DECAY, algorithm=slowmo(base, period=3, average=False)), 12)
    w, u = plain.replicas()
    x = w
    for t in range(12):
        w = averaged(w - RATE * (plain.grads(w, t) + 0.01 * w), t, 7)
        if (t + 1) % 3 == 0:
            u = 0.6 * u + (x - w) / RATE
            w = x = x - RATE * u
            np.testing.assert_allclose(begun_with(outer, t + 1), w, **TIGHT)


@pytest.mark.parametrize(("k1", "k2"), [(2, 4), (2, 6), (1, 3), (3, 8)])
def test_t19_over_hier_avg_against_a_lock_step_loop(outer, k1, k2):
    base = {"kind": "hier-avg", "k1": k1, "k2": k2, "group_size": 2}
    plain = Plain(played(**DECAY, algorithm=slowmo(base, period=4)), 12)
    w, _ = plain.replicas()
    x, u = plain.start, 0.0
    for t in range(12):
        w = w - RATE * (plain.grads(w, t) + 0.01 * w)
        if (t + 1) % k2 == 0:
            w = averaged(w, t, k2)
        elif (t + 1) % k1 == 0:
            w = np.repeat(w.reshape(2, 2, -1).mean(1), 2, axis=0)
        if (t + 1) % 4 == 0:
            u = 0.6 * u + (x - w.mean(0)) / RATE
            x = x - RATE * u
            w = np.tile(x, (4, 1))
            np.testing.assert_allclose(begun_with(outer, t + 1), w, **TIGHT)


@pytest.mark.parametrize("kind", ["sgp", "osgp"])
@pytest.mark.parametrize("workers", [4, 6])
@pytest.mark.parametrize("tau", [1, 3, 4])
def test_t19_over_push_sum_against_a_lock_step_loop(outer, kind, workers, tau):
    """The exact average is that of models and weights, also of what was under way."""
    changes = merged(MOMENTUM, {"topology": {"hosts": workers, "gpus_per_host": 1}})
    base = {"kind": kind, "graph": "forward"}
    plain = Plain(played(**changes, algorithm=slowmo(base, period=tau, buffers="keep")), 12)
    z, v = plain.replicas()  # numerators
    o, x, u = np.ones(workers), plain.start, 0.0
    hops = [1, 2, 4][: (workers - 1).bit_length()]
    for t in range(12):
        hop = hops[t % len(hops)]  # rounds go on where the base is begun anew
        model = z / o[:, None]
        v = 0.9 * v + plain.grads(model, t) + 0.01 * model
        if kind == "sgp":
            z = z - RATE * v
            z, o = (z + np.roll(z, hop, 0)) / 2, (o + np.roll(o, hop)) / 2
        else:  # half is under way during the step
            z, o = z / 2 - RATE * v + np.roll(z, hop, 0) / 2, (o + np.roll(o, hop)) / 2
        if (t + 1) % tau == 0:
            u = 0.6 * u + (x - z.mean(0)) / RATE
            x = x - RATE * u
            z, o = np.tile(x, (workers, 1)), np.ones(workers)
            np.testing.assert_allclose(begun_with(outer, t + 1, workers), z, **TIGHT)


@pytest.mark.parametrize("tau", [2, 3])
def test_t19_over_osgp_with_late_messages_the_average_is_of_all_mass(outer, tau):
    """Half of the mass is under way during the whole outer iteration, and then added."""
    late = {"hosts": 4, "gpus_per_host": 1, "host_link": {"latency": 5.0}}
    changes = merged(DECAY, {"topology": late, "workload": {"noise": "none"}})
    base = {"kind": "osgp", "graph": "forward", "patience": 10}
    plain = Plain(played(**changes, algorithm=slowmo(base, period=tau)), 12)
    x, u = plain.start, 0.0
    for first in range(0, 12, tau):
        numerator = np.tile(x / 2, (4, 1))  # what is kept; its weight is 1/2
        for t in range(first, first + tau):
            model = 2 * numerator
            numerator = numerator - RATE * (plain.grads(model, t) + 0.01 * model)
        u = 0.6 * u + (x - (numerator + x / 2).mean(0)) / RATE
        x = x - RATE * u
        rows = begun_with(outer, first + tau)
        np.testing.assert_allclose(rows, np.tile(x, (4, 1)), **TIGHT)


def test_t19_over_delayed_averaging_what_is_under_way_is_merged_first(outer):
    base = {"kind": "delayed-averaging", "period": 2, "delay": 1}
    plain = Plain(played(**DECAY, algorithm=slowmo(base, period=4)), 12)
    w, _ = plain.replicas()
    x, u, snapshot = plain.start, 0.0, None
    for t in range(12):
        w = w - RATE * (plain.grads(w, t) + 0.01 * w)
        if snapshot is not None:
            w, snapshot = w + snapshot.mean(0) - snapshot, None
        if t % 2:
            snapshot = w
        if (t + 1) % 4 == 0:
            w, snapshot = w + snapshot.mean(0) - snapshot, None
            u = 0.6 * u + (x - w.mean(0)) / RATE
            x = x - RATE * u
            w = np.tile(x, (4, 1))
            np.testing.assert_allclose(begun_with(outer, t + 1), w, **TIGHT)


def test_t19_the_rate_of_the_schedule_is_that_of_the_outer_iteration(outer):
    """The buffer is in units of gradients: it outlives a fall of the rate unscaled."""
    schedule = {"kind": "step", "every": 8, "gamma": 0.5}
    changes = merged(DECAY, {"learning": {"optimizer": {"schedule": schedule}}})
    algorithm = slowmo({"kind": "local-sgd", "period": 4}, period=4)
    plain = Plain(played(**changes, algorithm=algorithm), 12)
    w, _ = plain.replicas()
    x, u = plain.start, 0.0
    for t in range(12):
        rate = RATE * 0.5 ** (t // 8)
        w = w - rate * (plain.grads(w, t) + 0.01 * w)
        if (t + 1) % 4 == 0:
            u = 0.6 * u + (x - w.mean(0)) / rate
            x = x - rate * u
            w = np.tile(x, (4, 1))
            np.testing.assert_allclose(begun_with(outer, t + 1), w, **TIGHT)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_all_begin_an_outer_iteration_with_the_same(outer, dtype):
    played(learning={"dtype": dtype}, algorithm=slowmo({"kind": "sgp"}, period=3))
    for steps in (3, 6, 9, 12):
        rows = begun_with(outer, steps)
        assert (rows == rows[0]).all()


def test_t2_slowmo_adds_one_all_reduce_per_outer_iteration_where_the_base_has_none():
    sizes = {"topology": {"hosts": 4, "gpus_per_host": 1}, "network": {"all_reduce": "ring"}}
    ring = 2 * 3 * 10e6
    for base, more, extra in (
        ({"kind": "local-sgd", "period": 4}, {}, 0),
        ({"kind": "local-sgd", "period": 2}, {}, 0),
        ({"kind": "hier-avg", "k1": 1, "k2": 2, "group_size": 2}, {}, 0),
        ({"kind": "local-sgd", "period": 3}, {}, 2),  # after 12 steps they coincide
        ({"kind": "sgp"}, {}, 3),
        ({"kind": "sgp"}, {"average": False}, 0),
        ({"kind": "d-psgd"}, {}, 3),
    ):
        plain = simulate(**sizes, algorithm=base)
        slow = simulate(**sizes, algorithm=slowmo(base, **more))
        added = slow.summary["bytes_sent"] - plain.summary["bytes_sent"]
        assert added == pytest.approx(extra * ring), base


@pytest.mark.parametrize("base", ["sync-sgd", "ddp", "post-local-sgd"])
def test_t2_slowmo_adds_nothing_where_replicas_agree_after_every_step(base):
    """None extra when the base already averages exactly."""
    plain = simulate(algorithm={"kind": base})
    slow = simulate(algorithm=slowmo({"kind": base}))
    assert slow.summary["bytes_sent"] == plain.summary["bytes_sent"]


def test_everybody_waits_for_the_exact_average():
    """Workers that otherwise wait for nobody: L = max_j(L_prev + sum of tau c_j) + T_ar."""
    sizes = {
        "topology": {"hosts": 4, "gpus_per_host": 1},
        "network": {"all_reduce": "ring"},
        "stop": {"steps": 14},
    }
    alone = simulate(**sizes, algorithm={"kind": "local-sgd", "period": 100})
    slow = simulate(**sizes, algorithm=slowmo({"kind": "local-sgd", "period": 100}))
    (per_round,) = {
        round(end - start, 9)
        for start, end in zip(
            slow.tables["messages"]["start_s"], slow.tables["messages"]["end_s"], strict=True
        )
    }
    steps, c, end = alone.tables["steps"], np.zeros((4, 14)), np.full((4, 14), np.nan)
    for i, t, a, b in zip(
        steps["worker"], steps["step"], steps["start_s"], steps["end_s"], strict=True
    ):
        c[i, t] = b - a
    steps = slow.tables["steps"]
    end[steps["worker"], steps["step"]] = steps["end_s"]
    now = np.zeros(4)
    for t in range(14):
        now = now + c[:, t]
        np.testing.assert_allclose(end[:, t], now, rtol=1e-8)
        if (t + 1) % 4 == 0:
            now = np.full(4, now.max() + per_round)
    assert slow.summary["simulated_time_s"] == pytest.approx(now.max() + per_round)
