"""Every number of a summary against the tables, and the wiring of settings to parts."""

import dataclasses
import json

import numpy as np
import pytest

from simulator.engine import Streams
from simulator.experiment.run import build, run
from simulator.experiment.store import finished, save
from tests.make import played, scenario, simulate


@pytest.mark.parametrize("kind", ["sync-sgd", "async-ps", "dc-s3gd", "local-sgd"])
def test_the_summary_is_what_the_tables_say(kind):
    result = simulate(algorithm={"kind": kind}, evaluate={"every": 64, "target_accuracy": 0.6})
    s, t = result.summary, result.tables
    evaluations, steps = t["evaluations"], t["steps"]
    assert s["final_loss"] == evaluations["test_loss"][-1] != evaluations["train_loss"][-1]
    assert s["final_accuracy"] == evaluations["test_accuracy"][-1]
    reached = evaluations["time_s"][evaluations["test_accuracy"] >= 0.6]
    assert s["time_to_target_s"] == reached[0]
    assert s["simulated_time_s"] >= steps["end_s"].max()
    staleness = steps["staleness"]
    if kind in ("sync-sgd", "local-sgd"):
        assert np.isnan(staleness).all()
        assert (s["mean_staleness"], s["max_staleness"]) == (None, None)
    else:
        assert s["mean_staleness"] == pytest.approx(staleness.mean())
        assert s["max_staleness"] == staleness.max() > s["mean_staleness"]
    for worker in range(4):
        own = steps["worker"] == worker
        assert steps["start_s"][own][0] == 0
        np.testing.assert_array_equal(steps["start_s"][own][1:], steps["end_s"][own][:-1])
        assert steps["step"][own].tolist() == list(range(own.sum()))


def test_without_a_target_there_is_no_time_to_it():
    assert simulate().summary["time_to_target_s"] is None
    never = simulate(evaluate={"target_accuracy": 1.0}, stop={"steps": 1})
    assert never.summary["time_to_target_s"] is None


def test_a_target_is_met_when_it_is_equalled():
    table = simulate(evaluate={"every": 32}, stop={"steps": 40}).tables["evaluations"]
    goal = float(table["test_accuracy"][-1])
    first = table["time_s"][table["test_accuracy"] >= goal][0]
    result = simulate(evaluate={"every": 32}, stop={"steps": 40, "target_accuracy": goal})
    assert result.summary["simulated_time_s"] == first


def test_messages_under_way_at_the_end_do_not_count():
    """The second all-reduce is cut in the middle."""
    one = simulate(workload={"noise": "none"}, stop={"steps": 1})
    middle = one.summary["simulated_time_s"] + 0.05 + 0.001
    cut = simulate(workload={"noise": "none"}, stop={"steps": 9, "time": middle})
    assert cut.summary["bytes_sent"] == one.summary["bytes_sent"]
    assert cut.summary["breakdown"]["communication_s"] == pytest.approx(
        one.summary["breakdown"]["communication_s"] + 0.001
    )


def test_losses_are_those_of_the_data_they_are_named_after():
    cluster = played()
    job, table = cluster.job, cluster.trace.evaluations.columns()
    params = cluster.evaluated()[0][0]
    cluster.progress.evaluate()
    table = cluster.trace.evaluations.columns()
    assert table["train_loss"][-1] == job.model.evaluate(params, job.data.x, job.data.y)[0]
    test = job.model.evaluate(params, job.data.x_test, job.data.y_test)
    assert (table["test_loss"][-1], table["test_accuracy"][-1]) == test


def test_evaluation_is_once_per_epoch_by_default():
    table = simulate(stop={"steps": 10}).tables["evaluations"]
    epoch = 142  # training samples of wine
    crossed = [n for n in range(32, 321, 32) if n // epoch > (n - 32) // epoch]
    assert table["samples"].tolist() == [0, *crossed, 320]


def test_asynchronous_evaluation_counts_samples():
    table = simulate(
        algorithm={"kind": "async-ps"}, evaluate={"every": 50}, stop={"steps": 5}
    ).tables["evaluations"]
    # 8 samples a step: multiples of 50 are crossed with 56, 104 and 152 samples
    assert table["samples"].tolist() == [0, 56, 104, 152, 160]


def test_workers_that_finish_at_one_instant_are_evaluated_together():
    table = simulate(
        algorithm={"kind": "async-ps"},
        topology={"hosts": 1, "gpus_per_host": 4},
        workload={"noise": "none", "gradient": 0.0},
        evaluate={"every": 8},
        stop={"steps": 3},
    ).tables["evaluations"]
    assert table["samples"].tolist() == [0, 32, 64, 96]


def test_dc_s3gd_is_evaluated_after_its_final_wait():
    result = simulate(algorithm={"kind": "dc-s3gd"}, topology={"hosts": 2, "gpus_per_host": 1})
    assert result.tables["steps"]["staleness"].tolist() == [0, 0] + [1] * 22
    cluster = played(algorithm={"kind": "dc-s3gd"}, topology={"hosts": 2, "gpus_per_host": 1})
    last = cluster.job.evaluate(cluster.workers[0].params)
    assert result.tables["evaluations"]["train_loss"][-1] == pytest.approx(last[0], rel=1e-6)


def test_divergence_names_the_first_bad_step():
    lr = 1e25  # squares leave float32 at the second step
    result = simulate(
        learning={
            "model": {"kind": "least-squares"},
            "dataset": "regression",
            "optimizer": {"lr": lr},
        }
    )
    steps, found = result.tables["steps"], result.details["diverged"]
    bad = ~np.isfinite(steps["loss"])
    assert bad.sum() == 4  # all workers, at one instant: the first is named
    where = np.flatnonzero(bad)[0]
    assert found == {
        "worker": steps["worker"][where],
        "step": steps["step"][where],
        "time_s": steps["end_s"][where],
    }
    assert found["step"] == 1


def test_shards_starts_and_batches_come_from_their_own_streams():
    one, two = (build(scenario(seed=seed))[0] for seed in (1, 2))
    assert not np.array_equal(one.job.start, two.job.start)
    expected = scenario(seed=1).learning.partition.shards(
        one.job.data, 4, Streams(1).get("partition")
    )
    for worker, dealt, shard in zip(one.workers, one.shards, expected, strict=True):
        np.testing.assert_array_equal(dealt, shard)
        assert set(worker.load_batch().value[0].tolist()) <= set(shard.tolist())
    contiguous = np.diff(expected[0])
    assert not (contiguous == 1).all()


def test_settings_reach_the_optimiser():
    """A schedule, Nesterov's momentum and what a method does not take."""
    plain, stepped, nesterov, heavy = (
        played(learning={"optimizer": optimizer}, stop={"steps": 6}).workers[0].params
        for optimizer in (
            {},
            {"schedule": {"kind": "step", "every": 2, "gamma": 0.5}},
            {"momentum": 0.9, "nesterov": True},
            {"momentum": 0.9},
        )
    )
    assert not np.array_equal(plain, stepped)
    assert not np.array_equal(nesterov, heavy)
    ignored = simulate(
        algorithm={"kind": "async-ps"}, learning={"optimizer": {"linear_scaling": True}}
    )
    assert ignored.details["ignored_settings"] == ["learning.optimizer.linear_scaling"]


def test_state_has_the_models_type():
    for kind in ("layered-sgd", "dc-s3gd"):
        cluster = played(algorithm={"kind": kind}, learning={"optimizer": {"momentum": 0.9}})
        change, state = cluster.job.update(
            cluster.job.start, np.ones(cluster.job.model.size), cluster.job.state
        )
        assert change.dtype == state.velocity.dtype == np.float32


def leaves(data, path=()):
    if isinstance(data, dict):
        for key, value in data.items():
            yield from leaves(value, (*path, key))
    else:
        yield path, data


def test_every_setting_counts_in_the_hash():
    """Any field of the scenario but its name and what is recorded."""
    base = scenario()
    for field in dataclasses.fields(base):
        if field.name in ("name", "record", "folder", "allow_outside"):
            continue
        data = base.resolved(units=False)
        changed = json.dumps(data[field.name])
        assert changed in json.dumps(data)
    changes = {
        "seed": 1,
        "evaluate": {"every": 50},
        "stop": {"steps": 11},
        "network": {"all_reduce": "tree"},
        "storage": {"kind": "local-disk"},
        "workload": {"batch_size": 65},
        "learning": {"data_seed": 1},
        "algorithm": {"kind": "dc-s3gd"},
        "topology": {"hosts": 3},
        "stragglers": [{"kind": "slow-workers", "count": 1}],
    }
    hashes = {scenario(**{key: value}).config_hash() for key, value in changes.items()}
    assert len(hashes | {base.config_hash()}) == len(changes) + 1


def test_a_data_file_counts_by_content_not_by_name(tmp_path):
    from simulator.experiment.loading import load

    for name in ("a", "b"):
        np.savez(tmp_path / f"{name}.npz", x=np.arange(80.0).reshape(40, 2), y=np.arange(40) % 2)
        text = f"learning: {{batch_size: 8, dataset: {{kind: npz, path: {name}.npz}}}}"
        (tmp_path / f"{name}.yaml").write_text(text)
    one, two = (load(tmp_path / f"{name}.yaml").config_hash() for name in "ab")
    assert one == two


def test_a_flipped_byte_is_noticed(tmp_path):
    result = run(scenario())
    folder = save(result, tmp_path)
    path = folder / "steps.csv.gz"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert finished(tmp_path, result.scenario) is None


def test_saving_again_replaces_the_folder(tmp_path):
    result = run(scenario())
    folder = save(result, tmp_path, trace=True)
    assert save(result, tmp_path) == folder
    assert not (folder / "trace").exists()


def test_folders_of_living_processes_are_left_alone(tmp_path):
    import os
    import socket

    alive = tmp_path / "runs" / f".tmp-{socket.gethostname()}-{os.getppid()}-x"
    alive.mkdir(parents=True)
    save(run(scenario()), tmp_path)
    assert alive.exists()


@pytest.mark.parametrize("missing", ["spans", "messages"])
def test_a_table_that_is_asked_for_must_be_there(tmp_path, missing):
    save(run(scenario(record={missing: False})), tmp_path)
    assert finished(tmp_path, scenario()) is None
    assert finished(tmp_path, scenario(record={missing: False}))


def test_choosing_the_same_kind_again_drops_nothing():
    from simulator.experiment.document import parse

    document = parse("algorithm: {kind: local-sgd, period: 4}", "x", None)
    assert document.set("algorithm.kind", "local-sgd", "-S") == []
    assert document.data["algorithm"]["period"] == 4
