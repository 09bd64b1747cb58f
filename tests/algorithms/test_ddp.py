"""DDP and payloads (T2, T4, T5, T7, T8, R2), and LSGD's late learning rate."""

import numpy as np
import pytest

from tests.algorithms.servers_by_hand import (
    COMPUTE,
    LATENCY,
    NIC,
    Learner,
    compute_times,
    recorded,
    setting,
)
from tests.algorithms.servers_by_hand import ends as ends_of
from tests.make import merged, played, simulate

N, STEPS, BACKWARD = 4, 12, 0.6
# name, forward, backward, bytes, from the first layer to the last
LAYERS = [(0.03, 0.08, 2e6), (0.02, 0.05, 7e6), (0.04, 0.02, 11e6), (0.01, 0.03, 4e6)]
LAYERS += [(0.02, 0.06, 9e6), (0.03, 0.04, 17e6)]


def ring(nbytes, n=N, latency=LATENCY, nic=NIC):
    return 2 * (n - 1) * (2 * latency + nbytes / n * 8 / nic)


def buckets_by_hand(layers, first, other):
    """(bytes, ready share) of the buckets: last layer first, closed when the cap is reached."""
    total = sum(f + b for f, b, _ in layers)
    clock, held, cap, found = sum(f for f, _, _ in layers), 0.0, first, []
    for _, backward, nbytes in layers[::-1]:
        clock += backward
        held += nbytes
        if held >= cap:
            found.append((held, clock / total))
            held, cap = 0.0, other
    return found + ([(held, clock / total)] if held else [])


def equal(count, nbytes):
    return [((1 - BACKWARD) / count, BACKWARD / count, nbytes / count)] * count


def layer_file(folder):
    text = "name,forward_s,backward_s,nbytes\n"
    text += "".join(f"l{k},{f},{b},{n}\n" for k, (f, b, n) in enumerate(LAYERS))
    (folder / "layers.csv").write_text(text)
    return {"layers": {"path": "layers.csv"}, "gradient": None}


def tensors(count, nbytes):
    return {"gradient": nbytes, "tensors": count, "backward": BACKWARD}


def ddp(first, other, **changes):
    return setting(N, algorithm={"kind": "ddp", "first_bucket": first, "bucket": other}, **changes)


def r2(c, buckets, steps=STEPS):
    """E_j = max(max_i r_ij, E_(j-1)) + T_ar(n_j); L(t) = E_J: (starts, ends) of all buckets."""
    now, begun, over = 0.0, [], []
    for t in range(steps):
        end = -np.inf
        for nbytes, share in buckets:
            begun.append(max(*(now + share * c[i, t] for i in range(N)), end))
            end = begun[-1] + ring(nbytes)
            over.append(end)
        now = end
    return np.array(begun), np.array(over)


def closed_form(c, buckets, steps=STEPS):
    """L(t) = max_j(max_i r_ij + sum of T_ar(n_l), l >= j)."""
    now, found = 0.0, []
    for t in range(steps):
        now = max(
            max(now + share * c[i, t] for i in range(N)) + sum(ring(n) for n, _ in buckets[j:])
            for j, (_, share) in enumerate(buckets)
        )
        found.append(now)
    return np.array(found)


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])
@pytest.mark.parametrize("caps", [(5e6, 2e7), (0.0, 0.0), (1e6, 1e12), (1e12, 1.0)])
@pytest.mark.parametrize("what", ["tensors", "layers"])
def test_r2_buckets_of_unequal_workers(caps, fidelity, what, tmp_path, monkeypatch):
    """T8.  Both forms; a bucket starts when the slowest has filled it and the last is through."""
    monkeypatch.chdir(tmp_path)
    workload = tensors(10, 5e7) if what == "tensors" else layer_file(tmp_path)
    buckets = buckets_by_hand(equal(10, 5e7) if what == "tensors" else LAYERS, *caps)
    got, result = ends_of(**ddp(*caps, workload=workload, fidelity=fidelity))
    c = compute_times(N)
    begun, over = r2(c, buckets)
    expected = over[len(buckets) - 1 :: len(buckets)]
    np.testing.assert_allclose(closed_form(c, buckets), expected, rtol=1e-12)
    np.testing.assert_allclose(got, np.tile(expected, (N, 1)), rtol=1e-12)
    messages = result.tables["messages"]
    assert set(messages["kind"]) == {"all-reduce"}
    np.testing.assert_allclose(messages["start_s"], begun, rtol=1e-12)
    np.testing.assert_allclose(messages["end_s"], over, rtol=1e-12)
    sizes = [2 * (N - 1) * nbytes for nbytes, _ in buckets] * STEPS  # T2, in index order
    np.testing.assert_allclose(messages["nbytes"], sizes, rtol=1e-12)


def test_t2_bytes_are_those_of_sync_sgd():
    workload = tensors(10, 5e7)
    result = simulate(**ddp(5e6, 2e7, workload=workload))
    assert result.summary["bytes_sent"] == pytest.approx(STEPS * 2 * (N - 1) * 5e7, rel=1e-12)
    links = result.tables["links"]
    np.testing.assert_allclose(links["nbytes"], STEPS * 2 * (N - 1) / N * 5e7, rtol=1e-12)


def test_t2_default_buckets_of_resnet50_are_about_five():
    result = simulate(**ddp(2.0**20, 25 * 2.0**20, workload={"gradient": None}))
    default = simulate(**setting(N, algorithm={"kind": "ddp"}, workload={"gradient": None}))
    sizes = result.tables["messages"]["nbytes"] / (2 * (N - 1))
    np.testing.assert_array_equal(sizes, default.tables["messages"]["nbytes"] / (2 * (N - 1)))
    count = len(sizes) // STEPS
    assert 4 <= count <= 6
    assert sizes[:count].sum() == pytest.approx(102.2e6, rel=1e-3)
    assert 2**20 <= sizes[0] < 25 * 2**20
    assert (sizes[1 : count - 1] >= 25 * 2**20).all()


@pytest.mark.parametrize(("count", "nbytes"), [(1, 5e7), (10, 5e7), (10, 5e8), (25, 2e6)])
def test_t8_exposed_communication_of_equal_workers(count, nbytes):
    """max_j(sum of T_ar from j on - (r_J - r_j)), between the last T_ar and all of them."""
    buckets = buckets_by_hand(equal(count, nbytes), 0.0, 0.0)
    _, result = ends_of(**ddp(0.0, 0.0, workload=tensors(count, nbytes), noise=0))
    costs = [ring(n) for n, _ in buckets]
    expected = max(sum(costs[j:]) - COMPUTE * (1 - share) for j, (_, share) in enumerate(buckets))
    exposed = result.summary["simulated_time_s"] / STEPS - COMPUTE
    assert exposed == pytest.approx(expected, rel=1e-10)
    assert costs[-1] * (1 - 1e-9) <= exposed <= sum(costs) * (1 + 1e-9)
    spent = result.summary["breakdown"]
    assert spent["compute_s"] == pytest.approx(STEPS * COMPUTE, rel=1e-12)
    assert spent["communication_s"] + spent["idle_s"] == pytest.approx(STEPS * expected, rel=1e-9)
    flat = simulate(
        **setting(N, workload=tensors(count, nbytes), noise=0, algorithm={"kind": "sync-sgd"})
    ).summary["simulated_time_s"]
    gain = (flat - result.summary["simulated_time_s"]) / STEPS
    assert gain <= min(BACKWARD * COMPUTE, sum(costs)) * (1 + 1e-9)


def test_t8_a_free_network_exposes_nothing():
    link = {"host_link": {"bandwidth": 1e18, "latency": 0.0}}
    got, _ = ends_of(**ddp(0.0, 0.0, workload=tensors(10, 1e3), topology=link))
    np.testing.assert_allclose(got[2], np.cumsum(compute_times(N)[:, :STEPS].max(0)), rtol=1e-12)


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])
def test_t8_one_bucket_is_sync_sgd(fidelity):
    same = {"workload": tensors(10, 5e7), "fidelity": fidelity}
    one, _ = ends_of(**ddp(1e12, 1e12, **same))
    flat, _ = ends_of(**setting(N, algorithm={"kind": "sync-sgd"}, **same))
    np.testing.assert_allclose(one, flat, rtol=1e-13)


def test_t8_merging_buckets_has_an_optimum_inside():
    """One bucket hides nothing, one of every tensor pays every latency."""
    link = {"host_link": {"bandwidth": NIC, "latency": 1e-4}}
    times = [
        simulate(**ddp(cap, cap, workload=tensors(40, 4e7), noise=0, topology=link)).summary[
            "simulated_time_s"
        ]
        for cap in (0.0, 4e6, 8e6, 1e12)
    ]
    assert min(times[1:3]) < min(times[0], times[3])


@pytest.mark.parametrize("n", [3, 4])
def test_t7_any_buckets_give_the_same_parameters(n):
    """Fused, tensor by tensor and bucketed, in sync-sgd and in DDP: the same bits."""
    learning = {"optimizer": {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}}
    learning = {"learning": learning, "workload": tensors(10, 5e7)}
    flat = played(**setting(n, algorithm={"kind": "sync-sgd"}, **learning))
    others = [
        {"algorithm": {"kind": "ddp", "first_bucket": first, "bucket": other}}
        for first, other in ((5e6, 2e7), (0.0, 0.0), (1e12, 1e12))
    ]
    others += [
        {"algorithm": {"kind": "sync-sgd"}, "network": {"payload": payload}}
        for payload in ("per-tensor", {"kind": "bucketed", "size": 7e6})
    ]
    times = set()
    for changes in others:
        cluster = played(**merged(setting(n, **learning), changes))
        times.add(cluster.env.now)
        for worker in cluster.workers:
            np.testing.assert_array_equal(worker.params, flat.workers[0].params)
    assert len(times) == 5  # which does not hold for time


@pytest.mark.parametrize("n", [1, N])
def test_t5_t6_ddp_is_sequential_sgd(n, monkeypatch):
    learning = {"optimizer": {"momentum": 0.9, "weight_decay": 0.01}}
    algorithm = {"kind": "ddp", "first_bucket": 0, "bucket": 2e7}
    cluster, got = recorded(
        monkeypatch, **setting(n, learning=learning, algorithm=algorithm, workload=tensors(7, 5e7))
    )
    learner = Learner(cluster)
    w, v = learner.start, np.zeros_like(learner.start)
    for t in range(STEPS):
        v = 0.9 * v + learner.mean(n, w) + 0.01 * w
        w = w - 0.05 * v
        for rank in range(n):
            np.testing.assert_allclose(got[rank, t][1], w, atol=1e-12)
    assert len(got) == n * STEPS


def test_t4_a_slow_worker_slows_all():
    """By the whole of its delay: overlap does not help against it."""
    times = {}
    for factor in (1.0, 3.0):
        slow = [{"kind": "slow-workers", "workers": [2], "factor": factor}]
        changes = ddp(5e6, 2e7, workload=tensors(10, 5e6), noise=0)
        got, result = ends_of(**merged(changes, {"stragglers": slow}))
        assert {len(rows) for rows in got} == {STEPS}
        times[factor] = result.summary["simulated_time_s"]
    assert times[3.0] - times[1.0] == pytest.approx(STEPS * 2 * COMPUTE, rel=1e-9)


LAYERED = {"hosts": 2, "gpus_per_host": 2, "intra_host": {"bandwidth": 1e11, "latency": 5e-6}}


def test_t2_layered_sgd_pays_every_latency_per_tensor():
    """3p collectives instead of 3; their bytes and the parameters stay, latencies count p times."""
    count, link = 5, {"bandwidth": NIC, "latency": LATENCY}
    same = {
        "topology": LAYERED | {"host_link": link},
        "workload": {"gradient": 1e7, "tensors": count, "noise": "none"},
        "network": {"all_reduce": "ring"},
        "algorithm": {"kind": "layered-sgd"},
        "learning": {"dtype": "float64"},
    }
    fused = simulate(**same)
    each = simulate(**merged(same, {"network": {"payload": "per-tensor"}}))
    latencies = 2 * 5e-6 + 2 * 2 * LATENCY  # reduce and broadcast inside, a ring of two between
    extra = each.summary["simulated_time_s"] - fused.summary["simulated_time_s"]
    assert extra == pytest.approx(STEPS * (count - 1) * latencies, rel=1e-6)
    assert each.summary["bytes_sent"] == pytest.approx(fused.summary["bytes_sent"], rel=1e-12)
    np.testing.assert_array_equal(
        each.tables["evaluations"]["train_loss"], fused.tables["evaluations"]["train_loss"]
    )


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("steps", [1, 2, 12])
def test_t11_layered_sgd_and_its_late_rate(late, steps, monkeypatch):
    """Batch t is applied with the rate of step t + 1, the last one with its own."""
    optimizer = {"momentum": 0.9, "weight_decay": 0.01, "warmup_steps": 5, "warmup_from": 0.1}
    optimizer["schedule"] = {"kind": "step", "every": 7, "gamma": 0.5}
    cluster, got = recorded(
        monkeypatch,
        topology=LAYERED,
        learning={"dtype": "float64", "optimizer": optimizer},
        algorithm={"kind": "layered-sgd", "late_rate": late},
        stop={"steps": steps},
    )
    learner = Learner(cluster)
    w, v = learner.start, np.zeros_like(learner.start)
    for t in range(steps):
        at = min(t + 1, steps - 1) if late else t
        rate = 0.05 * min(1.0, 0.1 + 0.9 * at / 5) * 0.5 ** (at // 7)
        v = 0.9 * v + learner.mean(4, w) + 0.01 * w
        w = w - rate * v
        for rank in range(4):
            np.testing.assert_allclose(got[rank, t][1], w, atol=1e-12)
