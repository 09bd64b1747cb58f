"""Local SGD and its relatives against plain loops: T2, T15-T17, T20."""

import numpy as np
import pytest

from simulator.cluster import Worker
from simulator.engine import Streams
from simulator.learning import minibatches
from tests.make import merged, played, simulate

RATE = 0.05
F64 = {"learning": {"dtype": "float64"}}
DECAY = {"learning": {"dtype": "float64", "optimizer": {"weight_decay": 0.01}}}
MOMENTUM = {"learning": {"dtype": "float64", "optimizer": {"momentum": 0.9, "weight_decay": 0.01}}}
TIGHT = {"rtol": 0, "atol": 1e-12}


class Plain:
    """What a plain loop needs of a cluster: initial parameters, batches, gradients."""

    def __init__(self, cluster, steps):
        self.job, self.start = cluster.job, cluster.job.start
        self.n = len(cluster.workers)
        self._drawn = np.array(
            [
                [next(sequence)[0] for _ in range(steps)]
                for sequence in (
                    minibatches(shard, 8, Streams(0).get("data", rank))
                    for rank, shard in enumerate(cluster.shards)
                )
            ]
        )

    def replicas(self):
        """Initial parameters of all workers, and velocities."""
        w = np.tile(self.start, (self.n, 1))
        return w, np.zeros_like(w)

    def grads(self, w, t):
        """Gradient of every worker at its row of *w* on its batch number *t*."""
        samples = self._drawn[:, t]
        return self.job.model.gradients(w, self.job.data.x[samples], self.job.data.y[samples])[1]

    def grad(self, w, worker, t):
        """Gradient of one worker at *w* on its batch number *t*."""
        samples = self._drawn[worker, t][None]
        x, y = self.job.data.x[samples], self.job.data.y[samples]
        return self.job.model.gradients(w[None], x, y)[1][0]


def record_steps(monkeypatch):
    """Parameters of every finished step from now on: {(rank, step): params}."""
    kept = {}
    original = Worker.finish_step

    def finish_step(self, step, params, *rest, **more):
        kept[self.rank, step] = params.copy()
        original(self, step, params, *rest, **more)

    monkeypatch.setattr(Worker, "finish_step", finish_step)
    return kept


@pytest.fixture
def history(monkeypatch):
    return record_steps(monkeypatch)


def after(history, t, ranks=4):
    """Parameters of all workers after step *t*."""
    return np.array([history[rank, t] for rank in range(ranks)])


def kinds_of(result):
    kinds = result.tables["messages"]["kind"]
    return {kind: kinds.count(kind) for kind in set(kinds)}


# -- arithmetic ------------------------------------------------------------------------


@pytest.mark.parametrize("nesterov", [False, True])
def test_t15_k_avg_and_sasgd_and_local_sgd_with_period_one_are_sync_sgd(nesterov):
    """Local SGD also with momentum, which the other two do not have."""
    momentum = merged(MOMENTUM, {"learning": {"optimizer": {"nesterov": nesterov}}})
    for changes, algorithm in (
        (momentum, {"kind": "local-sgd", "period": 1}),
        (momentum, {"kind": "post-local-sgd", "period": 7, "switch": 12}),
        (momentum, {"kind": "post-local-sgd", "period": 1, "switch": 3}),
        (DECAY, {"kind": "k-avg", "k": 1}),
        (DECAY, {"kind": "sasgd", "interval": 1}),
        (DECAY, {"kind": "hier-avg", "k1": 1, "k2": 1}),
    ):
        flat, local = played(**changes), played(**changes, algorithm=algorithm)
        np.testing.assert_allclose(local.workers[1].params, flat.workers[1].params, **TIGHT)


@pytest.mark.parametrize(
    "algorithm",
    [
        {"kind": "k-avg", "k": 5},
        {"kind": "sasgd", "interval": 5},
        {"kind": "sasgd", "interval": 5, "global_rate": 0.25},
        {"kind": "local-sgd", "period": 5},
        {"kind": "hier-avg", "k1": 5, "k2": 5},
        {"kind": "hier-avg", "k1": 2, "k2": 5, "group_size": 1},
        {"kind": "hier-avg", "k1": 5, "k2": 10, "group_size": 4},
    ],
    ids=lambda algorithm: "-".join(map(str, algorithm.values())),
)
def test_t16_t17_averaging_models_every_k_steps(history, algorithm):
    """SASGD(1/N), K-AVG, Local SGD without momentum, degenerate Hier-AVG: one loop for all."""
    plain = Plain(played(**DECAY, algorithm=algorithm), 12)
    w, _ = plain.replicas()
    for t in range(12):
        w = w - RATE * (plain.grads(w, t) + 0.01 * w)
        if t in (4, 9):
            w = np.tile(w.mean(0), (4, 1))
        np.testing.assert_allclose(after(history, t), w, **TIGHT)


@pytest.mark.parametrize(("interval", "share"), [(1, 1.0), (3, 1.0), (5, 0.6)])
def test_t16_sasgd_moves_the_common_model_by_all_gradients(history, interval, share):
    """x' = x' - gamma_p * sum over learners and steps; gamma_p / gamma is a setting."""
    algorithm = {"kind": "sasgd", "interval": interval, "global_rate": share}
    plain = Plain(played(**F64, algorithm=algorithm), 12)
    w, s = plain.replicas()
    common = plain.start
    for t in range(12):
        g = plain.grads(w, t)
        w, s = w - RATE * g, s + g
        if (t + 1) % interval == 0:
            common = common - share * RATE * s.sum(0)
            w, s = np.tile(common, (4, 1)), np.zeros_like(s)
        np.testing.assert_allclose(after(history, t), w, **TIGHT)


def test_t16_methods_without_momentum_say_that_they_leave_it_out():
    for kind in ("k-avg", "sasgd", "hier-avg"):
        plain, asked = (
            simulate(**changes, algorithm={"kind": kind}) for changes in (DECAY, MOMENTUM)
        )
        assert plain.summary["final_loss"] == asked.summary["final_loss"]
        assert any("momentum" in warning for warning in asked.warnings)
        assert not any("momentum" in warning for warning in plain.warnings)


@pytest.mark.parametrize(("switch", "period"), [(0, 4), (5, 3), (4, 5), (20, 3)])
def test_post_local_sgd_against_a_lock_step_loop(history, switch, period):
    """Averaged after every step until the switch, every `period` steps after; local momentum."""
    changes = merged(MOMENTUM, {"learning": {"optimizer": {"nesterov": True}}})
    algorithm = {"kind": "post-local-sgd", "switch": switch, "period": period}
    plain = Plain(played(**changes, algorithm=algorithm), 12)
    w, v = plain.replicas()
    for t in range(12):
        q = plain.grads(w, t) + 0.01 * w
        v = 0.9 * v + q
        w = w - RATE * (q + 0.9 * v)
        if t < switch or (t + 1) % period == 0:
            w = np.tile(w.mean(0), (4, 1))
        np.testing.assert_allclose(after(history, t), w, **TIGHT)


@pytest.mark.parametrize(("k1", "k2"), [(1, 4), (2, 6), (3, 12), (2, 5)])
@pytest.mark.parametrize("size", [None, 2, 3])
def test_t17_hier_avg_against_a_lock_step_loop(history, k1, k2, size):
    """One averaging a step at most, the rarer one; inside a group the mean of all stays."""
    algorithm = {"kind": "hier-avg", "k1": k1, "k2": k2, "group_size": size}
    topology = {"hosts": 3, "gpus_per_host": 2}  # a host's workers are neighbours in rank
    plain = Plain(played(**F64, algorithm=algorithm, topology=topology), 12)
    w, _ = plain.replicas()
    for t in range(1, 13):
        before = after(history, t - 2, 6).mean(0) if t > 1 else plain.start
        g = plain.grads(w, t - 1)
        w = w - RATE * g
        if t % k2 == 0:
            w = np.tile(w.mean(0), (6, 1))
        elif t % k1 == 0:
            for at in range(0, 6, size or 2):
                own = slice(at, at + (size or 2))
                w[own] = w[own].mean(0)
        now = after(history, t - 1, 6)
        np.testing.assert_allclose(now, w, **TIGHT)
        np.testing.assert_allclose(now.mean(0), before - RATE * g.mean(0), **TIGHT)


@pytest.mark.parametrize("merge", ["in-place", "mix"])
@pytest.mark.parametrize(("period", "delay"), [(1, 0), (1, 1), (3, 0), (3, 1), (3, 3), (5, 2)])
def test_t20_delayed_averaging_against_a_lock_step_loop(history, merge, period, delay):
    """The snapshot's average comes d steps later; corrections add up to zero."""
    algorithm = {
        "kind": "delayed-averaging",
        "period": period,
        "delay": delay,
        "merge": merge,
        "share": 0.7,
    }
    cluster = played(**MOMENTUM, algorithm=algorithm)
    plain, snapshot = Plain(cluster, 12), None
    w, v = plain.replicas()

    def merge_with(w):
        correction = snapshot.mean(0) - snapshot
        np.testing.assert_allclose(correction.sum(0), 0, atol=1e-12)
        return w + correction if merge == "in-place" else 0.7 * snapshot.mean(0) + 0.3 * w

    for t in range(1, 13):
        v = 0.9 * v + plain.grads(w, t - 1) + 0.01 * w
        w = w - RATE * v
        if snapshot is not None and (t - delay) % period == 0:
            w, snapshot = merge_with(w), None
        if t % period == 0:
            snapshot = w
        if snapshot is not None and not delay:
            w, snapshot = merge_with(w), None
        np.testing.assert_allclose(after(history, t - 1), w, **TIGHT)
    if snapshot is not None:  # what is under way at the end is merged as well
        w = merge_with(w)
    np.testing.assert_allclose([worker.params for worker in cluster.workers], w, **TIGHT)


def test_t20_three_way_identity(monkeypatch):
    """DC-S3GD without compensation, D-PSGD on the complete graph, delayed averaging."""
    learned = []
    for algorithm in (
        {"kind": "dc-s3gd", "compensation": 0.0},
        {"kind": "d-psgd", "graph": "complete", "mixing": "overlapped"},
        {"kind": "delayed-averaging", "period": 1, "delay": 1, "merge": "in-place"},
    ):
        with monkeypatch.context() as patch:
            history = record_steps(patch)
            plain = Plain(played(**MOMENTUM, algorithm=algorithm), 12)
        learned.append([after(history, t) for t in range(12)])
    w, v = plain.replicas()
    for t in range(12):
        v = 0.9 * v + plain.grads(w, t) + 0.01 * w
        w = w.mean(0) - RATE * v
        for rows in learned:
            np.testing.assert_allclose(rows[t], w, **TIGHT)


@pytest.mark.parametrize("period", [1, 4])
def test_t20_delayed_averaging_without_delay_is_local_sgd(period):
    local = {"kind": "local-sgd", "period": period}
    delayed = {"kind": "delayed-averaging", "period": period, "delay": 0}
    one, two = (played(**MOMENTUM, algorithm=algorithm) for algorithm in (local, delayed))
    assert one.env.now == two.env.now
    for a, b in zip(one.workers, two.workers, strict=True):
        np.testing.assert_allclose(a.params, b.params, **TIGHT)


def test_delayed_averaging_has_one_averaging_at_a_time():
    with pytest.raises(Exception, match="delay 4 is longer than the period of 3 steps"):
        played(algorithm={"kind": "delayed-averaging", "period": 3, "delay": 4})


# -- messages --------------------------------------------------------------------------


def test_t2_messages_of_local_methods():
    """One all-reduce of m per H steps; K2 / K1 - 1 in each group between two over all."""
    n, nbytes, steps = 4, 10e6, 24
    ring_of_all = 2 * (n - 1) * nbytes
    inside = 2 * 2 * (2 - 1) * nbytes  # two groups of two
    for algorithm, count, sent in (
        ({"kind": "post-local-sgd", "period": 6, "switch": 4}, 4 + 4, 8 * ring_of_all),
        ({"kind": "k-avg", "k": 6}, 4, 4 * ring_of_all),
        ({"kind": "sasgd", "interval": 6}, 4, 4 * ring_of_all),
        ({"kind": "delayed-averaging", "period": 6, "delay": 2}, 4, 4 * ring_of_all),
        ({"kind": "delayed-averaging", "period": 5, "delay": 5}, 4, 4 * ring_of_all),
        (
            {"kind": "hier-avg", "k1": 2, "k2": 6, "group_size": 2},
            4 + 2 * 4 * 2,
            4 * ring_of_all + 4 * 2 * inside,
        ),
    ):
        result = simulate(
            topology={"hosts": 4, "gpus_per_host": 1},
            network={"all_reduce": "ring"},
            stop={"steps": steps},
            algorithm=algorithm,
        )
        assert kinds_of(result) == {"all-reduce": count}, algorithm
        assert result.summary["bytes_sent"] == pytest.approx(sent)
