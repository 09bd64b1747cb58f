"""Equipment: what every host has, how samples are divided, and what unequal batches learn."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cluster import HostSettings, Layout, Workload, equip
from simulator.cluster.computetime import Linear, Measured, OfBatch
from simulator.cluster.equipment import equal_times
from simulator.engine import Streams
from simulator.errors import ScenarioError
from simulator.experiment.loading import load
from simulator.experiment.run import build
from simulator.learning import minibatches
from tests import make
from tests.make import played, scenario, simulate

LAYOUT = Layout((0, 0, 1, 1, 2, 2), (0, 0, 0, 0, 1, 1), ("host0", "host1", "host2"))


def equipped(*hosts, share="equal-size", small=8, **settings):
    return equip(Workload(**settings), hosts, LAYOUT, small, share)


# -- hosts that differ -------------------------------------------------------------------


def test_hosts_without_settings_are_the_workload_s():
    made = equipped(batch_size=96)
    assert (made.devices, made.batches, made.small_batches) == (("v100",) * 6, (96,) * 6, (8,) * 6)
    assert made.seconds == pytest.approx([96 / 384] * 6)


def test_every_host_has_its_device_speed_and_batch():
    made = equipped(
        HostSettings((1,), device="k80", batch_size=32),
        HostSettings((2,), speed=4.0, batch_size=24),
        batch_size=96,
    )
    assert made.devices == ("v100", "v100", "k80", "k80", "v100", "v100")
    assert made.batches == (96, 96, 32, 32, 24, 24)
    assert made.small_batches == (8, 8, 3, 3, 2, 2)
    seconds = [96 / 384, 32 / 51.9, 24 / 384 / 4]
    assert made.seconds == pytest.approx([s for s in seconds for _ in range(2)])


def test_of_several_entries_for_a_host_the_last_counts():
    made = equipped(HostSettings((0, 1), device="k80", speed=2.0), HostSettings((1,), device="t4"))
    assert made.devices == ("k80", "k80", "t4", "t4", "v100", "v100")
    assert made.seconds[2] == pytest.approx(64 / 216.6)


def test_a_small_batch_has_one_sample_at_the_least():
    assert equipped(HostSettings((0,), batch_size=1)).small_batches == (1, 1, 8, 8, 8, 8)


def test_in_a_run_a_faster_host_waits_for_the_others():
    def compute(**changes):
        spans = simulate(workload={"noise": "none"}, stop={"steps": 1}, **changes).tables["spans"]
        rows = zip(spans["worker"], spans["kind"], spans["start_s"], spans["end_s"], strict=True)
        return {worker: end - start for worker, kind, start, end in rows if kind == "compute"}

    assert compute() == pytest.approx(dict.fromkeys(range(4), 0.05))
    own = [{"hosts": 1, "speed": 2.5, "batch_size": 32}]
    assert compute(hosts=own) == pytest.approx({0: 0.05, 1: 0.05, 2: 0.01, 3: 0.01})


def test_a_host_may_have_another_link():
    def communication(hosts):
        result = simulate(
            topology={"gpus_per_host": 0, "hosts": 4, "host_link": {"latency": "0 s"}},
            network={"all_reduce": "ring"},
            workload={"noise": "none"},
            hosts=hosts,
        )
        return result.summary["breakdown"]["communication_s"]

    slower = [{"hosts": "2", "host_link": {"bandwidth": "4 Gbit/s"}}]
    assert communication(slower) == pytest.approx(communication([]) * 10 / 4)


# -- samples divided by speed ------------------------------------------------------------

paces = st.lists(st.tuples(st.floats(0.1, 1), st.floats(0, 1)), min_size=1, max_size=9)


@given(paces, st.integers(8, 200))
def test_equal_times_are_equal_to_one_sample(paces, mean):
    """Of (seconds per sample, fixed seconds) by worker; what is left goes to one of them."""
    clocks = [lambda batch, p=per, f=fixed: f + p * batch for per, fixed in paces]
    batches = equal_times(clocks, paces, mean * len(paces))
    assert sum(batches) == mean * len(paces)
    times = [clock(batch) for clock, batch in zip(clocks, batches, strict=True)]
    assert min(batches) >= 1
    assert max(times) - min(times) <= max(per for per, _ in paces) * (1 + 1e-9)


def test_faster_devices_get_more_samples():
    """In proportion to 384 and 51.9 samples/s."""
    made = equipped(HostSettings((1,), device="k80"), share="equal-time")
    total = 4 * 384 + 2 * 51.9
    assert sum(made.batches) == 6 * 64
    for batch, speed in zip(made.batches, [384, 384, 51.9, 51.9, 384, 384], strict=True):
        assert abs(batch - 6 * 64 * speed / total) < 1
    assert max(made.seconds) - min(made.seconds) <= 1 / 51.9
    assert made.small_batches == tuple(max(1, round(b / 8)) for b in made.batches)


def test_equal_workers_have_equal_shares():
    made = equipped(share="equal-time")
    assert made.batches == (64,) * 6
    assert made == equipped()


def test_fixed_time_and_speed_count_too():
    """Host 2 is twice as fast: 1 + b = (1 + c) / 2."""
    made = equipped(
        HostSettings((2,), speed=2.0),
        share="equal-time",
        compute=Linear(fixed=1.0, per_sample=1.0),
        batch_size=7,
    )
    assert made.batches == (5, 5, 5, 5, 11, 11)
    assert made.seconds == pytest.approx([6.0] * 6)


@pytest.mark.parametrize("compute", [OfBatch(0.0), Linear(fixed=0.1, per_sample=0.0)])
def test_times_that_do_not_depend_on_the_batch_divide_the_total_too(compute):
    assert sum(equipped(share="equal-time", compute=compute).batches) == 6 * 64


def test_very_slow_workers_do_not_add_samples():
    slow = HostSettings((1, 2), speed=0.001)
    assert sum(equipped(slow, share="equal-time", batch_size=2).batches) == 6 * 2


def test_measured_times_can_be_divided_within_what_was_measured(tmp_path):
    (tmp_path / "t.csv").write_text("batch_size,compute_s\n8,0.1\n128,1.3\n")
    measured = Measured(str(tmp_path / "t.csv"))
    twice = HostSettings((2,), speed=2.0)
    made = equipped(twice, share="equal-time", compute=measured, batch_size=48)
    assert made.batches == pytest.approx((36, 36, 36, 36, 72, 72), abs=2)


def test_own_batch_sizes_count_in_the_total_that_is_divided():
    made = equipped(HostSettings((0,), batch_size=4), share="equal-time", compute=OfBatch(1.0))
    assert sum(made.batches) == 2 * 4 + 4 * 64
    assert max(made.batches) - min(made.batches) <= 1


# -- what unequal batches learn ----------------------------------------------------------

MODELS = [
    ({"kind": "mlp", "hidden": [8]}, "wine"),
    ({"kind": "softmax"}, "wine"),
    ({"kind": "least-squares"}, "regression"),
    ({"kind": "quadratic"}, "regression"),
]
UNEQUAL = {
    "hosts": [{"hosts": 1, "batch_size": 24}],
    "learning": {"dtype": "float64", "optimizer": {"kind": "sgd", "lr": 0.1}},
    "stop": {"steps": 3},
}


def unequal(model, dataset):
    learning = {**UNEQUAL["learning"], "model": model, "dataset": dataset}
    return {**UNEQUAL, "learning": learning}


def by_hand(changes):
    """Parameters after SGD on all samples of every step together, and losses by worker."""
    cluster, _ = build(scenario(**changes))
    job, shards = cluster.job, cluster.shards
    sizes = [8, 8, 3, 3]  # 24 of 64 samples are 3 of 8
    drawn = [
        minibatches(shard, size, Streams(0).get("data", rank))
        for rank, (shard, size) in enumerate(zip(shards, sizes, strict=True))
    ]
    params, losses = job.start, []

    def gradient(samples):
        loss, grad = job.model.gradients(
            params[None], job.data.x[samples][None], job.data.y[samples][None]
        )
        return loss[0], grad[0]

    for _ in range(3):
        batches = [next(own)[0] for own in drawn]
        losses += [(rank, gradient(batch)[0]) for rank, batch in enumerate(batches)]
        params = params - 0.1 * gradient(np.concatenate(batches))[1]
    return params, losses


@pytest.mark.parametrize(("model", "dataset"), MODELS)
def test_unequal_batches_learn_what_one_worker_learns_from_all_samples(model, dataset):
    changes = unequal(model, dataset)
    cluster = played(**changes)
    expected, _ = by_hand(changes)
    assert (expected != cluster.job.start).any()
    for worker in cluster.workers:
        np.testing.assert_allclose(worker.params, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("limit", [1, 3, 64])
@pytest.mark.parametrize(("model", "dataset"), MODELS)
def test_a_reported_loss_is_the_mean_of_the_worker_s_own_batch(model, dataset, limit):
    changes = unequal(model, dataset)
    steps = simulate(stack_limit=limit, **changes).tables["steps"]
    found = sorted(zip(steps["step"], steps["worker"], steps["loss"], strict=True))
    _, expected = by_hand(changes)
    assert [(worker, loss) for _, worker, loss in found] == [
        (rank, pytest.approx(loss, rel=1e-12)) for rank, loss in expected
    ]


def test_samples_are_counted_by_who_had_them():
    result = simulate(**UNEQUAL)
    assert result.summary["samples"] == 3 * (8 + 8 + 3 + 3)
    result = simulate(**{**UNEQUAL, "stop": {"samples": 198}})
    assert result.summary["samples"] == 198


# -- what cannot be ----------------------------------------------------------------------


def refusal(hosts, folder):
    text = "topology: {kind: star, hosts: 4, gpus_per_host: 1}\n"
    text += f"learning: {{dataset: wine, batch_size: 8}}\nhosts:\n- {{{hosts}}}\n"
    return make.refusal(text, folder)


@pytest.mark.parametrize(
    ("hosts", "message"),
    [
        ("hosts: 7, speed: 2", "x.yaml:4:4: hosts.0.hosts: there is no host 7; the 4 hosts are 0"),
        ("hosts: 2-4", "x.yaml:4:4: hosts.0.hosts: there is no host 4; the 4 hosts are 0..3"),
        ("hosts: []", "x.yaml:4:4: hosts.0.hosts: names no host"),
        ("speed: 2", "x.yaml:4:3: hosts.0.hosts: is missing"),
        ("hosts: 1, speed: 0", "x.yaml:4:14: hosts.0.speed: must be greater than 0, not 0"),
        (
            "hosts: 1, device: v10",
            "x.yaml:4:14: hosts.0.device: no device 'v10'; did you mean 'v100'?",
        ),
        ("hosts: 1, device: h200, batch_size: 0", "hosts.0.batch_size: must be greater than or"),
        (
            "hosts: 1, host_link: {bandwidth: 1 GB}",
            "hosts.0.host_link.bandwidth: '1 GB' is a size; expected a rate such as",
        ),
        ("hosts: 1, host_link: {latency: 1 us}", "hosts.0.host_link.bandwidth: is missing"),
    ],
)
def test_impossible_hosts_are_refused(tmp_path, hosts, message):
    assert message in refusal(hosts, tmp_path)


def test_a_device_of_some_hosts_needs_a_figure_too(tmp_path):
    (tmp_path / "x.yaml").write_text(
        "workload: {preset: bert-large}\nhosts: [{hosts: 1, device: k80}]\n"
    )
    with pytest.raises(ScenarioError, match="no figure for bert-large on k80"):
        load(tmp_path / "x.yaml")
