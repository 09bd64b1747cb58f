"""Invariants and identities T2, T4, T6, T11, T13-T15, T27, T29-T31 of the specifications."""

import itertools

import numpy as np
import pytest

from simulator.algorithms.dc_s3gd import correction
from simulator.cluster import Worker
from simulator.engine import Streams
from simulator.learning import minibatches
from tests.make import played, scenario, simulate

F64 = {"learning": {"dtype": "float64", "optimizer": {"momentum": 0.9, "weight_decay": 0.01}}}
QUIET = {"workload": {"noise": "none"}}


def changed(*parts):
    from tests.make import merged

    result = {}
    for part in parts:
        result = merged(result, part)
    return result


@pytest.fixture
def history(monkeypatch):
    """Parameters of every finished step: {(rank, step): params}."""
    kept = {}
    original = Worker.finish_step

    def finish_step(self, step, params, *rest, **more):
        kept[self.rank, step] = params.copy()
        original(self, step, params, *rest, **more)

    monkeypatch.setattr(Worker, "finish_step", finish_step)
    return kept


def rows(kept, ranks, steps):
    return np.array([[kept[rank, step] for step in range(steps)] for rank in range(ranks)])


def batches(cluster, steps, seed=0, size=8):
    """The batches that every worker will draw, drawn here: (worker, step, sample)."""
    return np.array(
        [
            [next(sequence)[0] for _ in range(steps)]
            for sequence in (
                minibatches(shard, size, Streams(seed).get("data", rank))
                for rank, shard in enumerate(cluster.shards)
            )
        ]
    )


def test_t2_bytes_and_messages_of_the_specifications():
    n, nbytes, steps = 4, 10e6, 12
    topology = {"hosts": 4, "gpus_per_host": 1}
    for kind, per_step in (
        ("sync-sgd", 2 * (n - 1) * nbytes),
        ("dc-s3gd", 2 * (n - 1) * nbytes),
        ("local-sgd", 2 * (n - 1) * nbytes / 8),
        ("async-ps", 2 * n * nbytes),
    ):
        result = simulate(
            topology=topology,
            network={"all_reduce": "ring"},
            stop={"steps": 16},
            algorithm={"kind": kind},
        )
        assert result.summary["bytes_sent"] == pytest.approx(16 * per_step)
        links = result.tables["links"]
        nic = next(
            b
            for s, t, b in zip(links["source"], links["target"], links["nbytes"], strict=True)
            if (s, t) == ("host0", "switch0")
        )
        if kind != "async-ps":
            assert nic == pytest.approx(16 * per_step / n)  # 2(N-1)/N m per direction
    # LSGD: G m up and G m down inside each host, one ring of Q communicators.
    result = simulate(algorithm={"kind": "layered-sgd"}, network={"all_reduce": "ring"})
    kinds = result.tables["messages"]["kind"]
    assert [kinds.count(k) for k in ("reduce", "all-reduce", "broadcast")] == [
        2 * steps,
        steps,
        2 * steps,
    ]
    assert result.summary["bytes_sent"] == pytest.approx(steps * nbytes * (4 + 4 + 2))


@pytest.mark.parametrize("kind", ["sync-sgd", "layered-sgd", "dc-s3gd", "local-sgd", "async-ps"])
def test_t4_one_slow_worker(kind):
    """Asynchronous: the others' step counts stay; synchronous: all take the same number."""

    def counts(factor):
        result = simulate(
            topology={"hosts": 4, "gpus_per_host": 1},
            algorithm={"kind": kind},
            workload={"gradient": "1 kB", "noise": "none"},
            stop={"time": "5.01 s", "steps": None},
            stragglers=[{"kind": "slow-workers", "workers": [2], "factor": factor}],
        )
        return np.bincount(result.tables["steps"]["worker"], minlength=4)

    fair, slow = counts(1.0), counts(3.0)
    if kind == "async-ps":
        assert (slow[[0, 1, 3]] == fair[[0, 1, 3]]).all()
        assert slow[2] == pytest.approx(fair[2] / 3, abs=1)
    else:
        assert slow.max() - slow.min() <= (8 if kind == "local-sgd" else 1)
        assert slow.max() < fair.min() / 2


def test_t6_sync_sgd_is_sequential_sgd_on_the_concatenated_batch(history):
    cluster = played(**F64)
    job, drawn = cluster.job, batches(cluster, 12)
    w, v = job.start.copy(), np.zeros_like(job.start)
    for t in range(12):
        samples = drawn[:, t].reshape(1, -1)
        _, grad = job.model.gradients(w[None], job.data.x[samples], job.data.y[samples])
        v = 0.9 * v + grad[0] + 0.01 * w
        w = w - 0.05 * v
        np.testing.assert_allclose(history[3, t], w, atol=1e-12)


@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-5)])
@pytest.mark.parametrize("size", [1, 2, 4, None])
def test_t11_layered_sgd_is_sync_sgd(dtype, tolerance, size):
    """After 200 steps with momentum and weight decay, for any grouping."""
    same = changed(F64, {"learning": {"dtype": dtype}, "stop": {"steps": 200}})
    flat = played(**same)
    layered = played(**same, algorithm={"kind": "layered-sgd", "group_size": size})
    for worker in layered.workers:
        np.testing.assert_allclose(worker.params, flat.workers[0].params, atol=tolerance)


def test_t13_layered_sgd_without_loading_gains_nothing():
    """T_io = 0: never faster than the two-level reduction it is made of."""
    layered = simulate(**QUIET, algorithm={"kind": "layered-sgd"}, network={"all_reduce": "ring"})
    inside = 5e-6 + 10e6 * 8 / 100e9
    between = 2 * (20e-6 + 5e6 * 8 / 10e9)
    assert layered.summary["simulated_time_s"] == pytest.approx(12 * (0.05 + 2 * inside + between))


def test_t13_time_is_independent_of_the_number_of_groups_while_loading_hides_the_all_reduce():
    disk = {"kind": "local-disk", "latency": 0.5, "bandwidth": 1e12}
    times = [
        simulate(
            **QUIET,
            storage=disk,
            topology={"hosts": hosts},
            learning={"dataset": "digits"},
            algorithm={"kind": "layered-sgd"},
            network={"all_reduce": "ring"},
        ).summary["simulated_time_s"]
        for hosts in (2, 4, 8, 16)
    ]
    # only the last step, after which nothing is loaded, shows the all-reduce
    last = [2 * (q - 1) * (20e-6 + 10e6 / q * 8 / 10e9) for q in (2, 4, 8, 16)]
    np.testing.assert_allclose(np.array(times) - last, times[0] - last[0], rtol=1e-12)


def test_t14_every_gradient_is_in_the_parameters(history):
    """Updates = iterations, and w0 - w is the rate times the sum of the mean gradients."""
    cluster = played(learning={"dtype": "float64"}, algorithm={"kind": "layered-sgd"})
    job, drawn, w = cluster.job, batches(cluster, 12), None
    w = job.start
    for t in range(12):
        samples = drawn[:, t]
        _, grads = job.model.gradients(w[None], job.data.x[samples], job.data.y[samples])
        w = w - 0.05 * grads.mean(0)
    assert sorted(history) == [(rank, step) for rank in range(4) for step in range(12)]
    np.testing.assert_allclose(cluster.workers[2].params, w, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_t15_local_sgd_with_period_one_is_sync_sgd(nesterov):
    same = changed(F64, {"learning": {"optimizer": {"nesterov": nesterov}}, "stop": {"steps": 40}})
    flat, local = played(**same), played(**same, algorithm={"kind": "local-sgd", "period": 1})
    np.testing.assert_allclose(local.workers[1].params, flat.workers[1].params, atol=1e-12)


def test_local_sgd_averages_models_every_period_steps(history):
    """Against a lock-step loop; momentum is local and never averaged."""
    cluster = played(**F64, algorithm={"kind": "local-sgd", "period": 3})
    job, drawn = cluster.job, batches(cluster, 12)
    w, v = np.tile(job.start, (4, 1)), np.zeros((4, job.model.size))
    for t in range(12):
        _, g = job.model.gradients(w, job.data.x[drawn[:, t]], job.data.y[drawn[:, t]])
        v = 0.9 * v + g + 0.01 * w
        w = w - 0.05 * v
        if (t + 1) % 3 == 0:
            w = np.tile(w.mean(0), (4, 1))
        np.testing.assert_allclose(rows(history, 4, 12)[:, t], w, atol=1e-12)


def test_t27_homogeneous_workers_have_delay_workers_minus_one():
    for n in (1, 3, 6):
        result = simulate(
            **QUIET, topology={"hosts": n, "gpus_per_host": 0}, algorithm={"kind": "async-ps"}
        )
        staleness = result.tables["steps"]["staleness"]
        assert (staleness[n:] == n - 1).all()  # the first round sees 0 .. n-1
        assert sorted(staleness[:n]) == list(range(n))


def test_t27_mean_delay_approaches_workers_minus_one_for_any_speed_mix():
    result = simulate(
        topology={"hosts": 5, "gpus_per_host": 0},
        algorithm={"kind": "async-ps"},
        workload={"gradient": "1 kB"},
        stop={"steps": 400},
        stragglers=[{"kind": "slow-workers", "workers": [0, 3], "factor": 2.7}],
    )
    assert result.summary["mean_staleness"] == pytest.approx(4, rel=0.01)


def test_async_ps_against_a_loop_over_arrivals():
    """T21 as well: the server's value is w0 plus all pushed changes, each of a stale model."""
    cluster = played(
        learning={"dtype": "float64", "optimizer": {"weight_decay": 0.01}},
        algorithm={"kind": "async-ps"},
        topology={"hosts": 4, "gpus_per_host": 0},
    )
    job, drawn = cluster.job, batches(cluster, 40)
    pushes = [(begin, end, source) for source, kind, begin, end in _messages(cluster) if kind == 1]
    x, held = job.start, {f"host{i}": (job.start, 0) for i in range(4)}
    for _, _, source in sorted(pushes, key=lambda push: push[1]):
        w, t = held[source]
        samples = drawn[int(source[4:]), t][None]
        _, grad = job.model.gradients(w[None], job.data.x[samples], job.data.y[samples])
        x = x - 0.05 * (grad[0] + 0.01 * w)
        held[source] = x, t + 1
    np.testing.assert_allclose(cluster.evaluated()[0][0], x, atol=1e-12)


def _messages(cluster):
    table = cluster.trace.messages.columns()
    for carrier, kind, begin, end in zip(
        table["carrier"], table["kind"], table["start_s"], table["end_s"], strict=True
    ):
        yield cluster.network.carriers[carrier].source, int(kind), begin, end


TENSORS = [0, 104, 112, 136, 139]  # 13 x 8 weights, 8 biases, 8 x 3 weights, 3 biases


@pytest.mark.parametrize("edges", [[0, 139], TENSORS])
@pytest.mark.parametrize("compensation", [0.0, 0.2, 1.5])
def test_t29_dc_s3gd_against_a_lock_step_loop(history, compensation, edges):
    """w_i(t+1) = mean model + own change; replicas agree after the final wait."""
    cluster = played(
        learning={"dtype": "float64", "optimizer": {"momentum": 0.9}},
        algorithm={
            "kind": "dc-s3gd",
            "compensation": compensation,
            "scaled": "tensor" if edges is TENSORS else "model",
        },
    )
    job, drawn = cluster.job, batches(cluster, 12)
    w, v, distance = np.tile(job.start, (4, 1)), np.zeros((4, job.model.size)), None
    centre = job.start.copy()  # w0 + sum of mean changes
    for t in range(12):
        _, g = job.model.gradients(w, job.data.x[drawn[:, t]], job.data.y[drawn[:, t]])
        if distance is None:
            distance = np.zeros_like(w)
        product, extra = g * g * distance, np.zeros_like(g)
        for a, b in itertools.pairwise(edges):
            size = np.linalg.norm(product[:, a:b], axis=1, keepdims=True)
            scale = np.divide(
                compensation * np.linalg.norm(g[:, a:b], axis=1, keepdims=True),
                size,
                out=np.zeros_like(size),
                where=size > 0,
            )
            extra[:, a:b] = scale * product[:, a:b]
        v = 0.9 * v + g + extra
        change = -0.05 * v
        np.testing.assert_allclose(distance.sum(0), 0, atol=1e-12)
        w = w + distance + change
        distance = change.mean(0) - change
        centre = centre + change.mean(0)
        np.testing.assert_allclose(rows(history, 4, 12)[:, t], w, atol=1e-12)
        np.testing.assert_allclose(w + distance, np.tile(centre, (4, 1)), atol=1e-12)
    for worker in cluster.workers:
        np.testing.assert_allclose(worker.params, centre, atol=1e-12)


def test_t30_the_correction_has_its_share_of_the_gradient():
    rng = np.random.default_rng(0)
    for dtype in (np.float32, np.float64):
        g, d = rng.normal(size=(2, 100)).astype(dtype)
        c = correction(g, d, 0.2)
        assert np.linalg.norm(c) == pytest.approx(0.2 * np.linalg.norm(g), rel=1e-6)
        assert (np.sign(c) == np.sign(d)).all()
        assert not correction(g, np.zeros_like(d), 0.2).any()
    tiny = correction(np.float32([1e-15, 1e-15]), np.float32([1e-15, 0]), 0.2)
    assert np.linalg.norm(tiny) > 0  # no underflow to the zero guard


def test_t30_same_data_on_all_workers_is_sync_sgd(monkeypatch):
    """Nobody is stale if everybody does the same."""

    def same_data(self, *arguments):
        shards = original(self, *arguments)
        return [shards[0]] * len(shards)

    from simulator.learning.partition import Iid

    original = Iid.shards
    monkeypatch.setattr(Iid, "shards", same_data)
    streams_get = Streams.get
    monkeypatch.setattr(
        Streams,
        "get",
        lambda self, purpose, *index: streams_get(
            self, purpose, *((0,) if purpose == "data" else index)
        ),
    )
    flat, stale = played(**F64), played(**F64, algorithm={"kind": "dc-s3gd"})
    np.testing.assert_allclose(stale.workers[2].params, flat.workers[2].params, atol=1e-12)


def test_t31_one_all_reduce_a_step_and_never_two_at_a_time():
    result = simulate(algorithm={"kind": "dc-s3gd"}, workload={"gradient": "200 MB"})
    messages = result.tables["messages"]
    assert messages["kind"] == ["all-reduce"] * 12
    assert (messages["start_s"][1:] >= messages["end_s"][:-1] - 1e-12).all()
    flat = simulate(algorithm={"kind": "sync-sgd"}, workload={"gradient": "200 MB"})
    assert result.summary["bytes_sent"] == flat.summary["bytes_sent"]


def test_replicas_that_agree_share_one_row():
    for kind in ("sync-sgd", "layered-sgd"):
        cluster = played(algorithm={"kind": kind})
        assert len({id(worker.params) for worker in cluster.workers}) == 1


def test_a_group_that_does_not_divide_is_refused():
    with pytest.raises(Exception, match="groups of 3 do not divide 4 workers; possible: 1, 2, 4"):
        scenario(algorithm={"kind": "layered-sgd", "group_size": 3})
