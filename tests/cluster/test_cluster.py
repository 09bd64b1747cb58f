"""Evaluation, stop rules, throughput and what a run reports."""

import numpy as np
import pytest

from simulator.experiment.run import build, run
from tests.make import played, scenario, simulate


def test_waiting_is_idle_until_the_transfer_begins():
    """Worker 0 is fast: it waits for worker 1, then both communicate."""
    result = simulate(
        topology={"hosts": 2, "gpus_per_host": 0},
        workload={"noise": "none"},
        stragglers=[{"kind": "slow-workers", "workers": [1], "factor": 2.0}],
        network={"all_reduce": "ring"},
        stop={"steps": 1},
    )
    ring = 2 * (20e-6 + 5e6 * 8 / 10e9)
    spans = result.tables["spans"]
    own = {
        rank: {
            kind: end - start
            for worker, kind, start, end in zip(
                spans["worker"], spans["kind"], spans["start_s"], spans["end_s"], strict=True
            )
            if worker == rank
        }
        for rank in (0, 1)
    }
    assert own[0] == pytest.approx({"compute": 0.05, "idle": 0.05, "communication": ring})
    assert own[1] == pytest.approx({"compute": 0.1, "communication": ring})


def test_evaluations_come_at_zero_at_multiples_and_at_the_end():
    table = simulate(evaluate={"every": 100}, stop={"steps": 12}).tables["evaluations"]
    # 32 samples a step: multiples of 100 are crossed with steps 4, 7 and 10
    assert table["samples"].tolist() == [0, 128, 224, 320, 384]
    assert table["step"].tolist() == [0, 4, 7, 10, 12]
    assert table["time_s"][0] == 0.0
    assert (np.diff(table["time_s"]) > 0).all()


def test_an_evaluation_that_crosses_several_multiples_happens_once():
    table = simulate(evaluate={"every": 1}, stop={"steps": 3}).tables["evaluations"]
    assert table["samples"].tolist() == [0, 32, 64, 96]


def test_stop_at_a_target():
    result = simulate(
        stop={"target_accuracy": 0.9, "steps": 5000}, evaluate={"every": 64, "target_accuracy": 0.9}
    )
    assert result.summary["status"] == "completed"
    assert result.summary["final_accuracy"] >= 0.9
    assert result.summary["time_to_target_s"] == result.summary["simulated_time_s"]
    assert result.summary["steps"] < 5000


@pytest.mark.parametrize(
    ("stop", "worker_steps"),
    [
        ({"samples": 100}, 16),
        ({"epochs": 1.0}, 20),
        ({"epochs": 1.1}, 20),
        ({"steps": 3}, 12),
        ({"steps": 3, "samples": 1e6}, 12),
    ],
)
def test_work_is_counted_in_whole_lock_steps(stop, worker_steps):
    """100 samples are 13 batches of 8: lock step rounds up to 16; one epoch is 142 samples."""
    assert simulate(stop={"steps": None} | stop).summary["samples"] == 8 * worker_steps


def test_asynchronous_workers_draw_tickets():
    result = simulate(
        stop={"steps": None, "samples": 104},
        algorithm={"kind": "async-ps"},
        stragglers=[{"kind": "slow-workers", "workers": [0], "factor": 4.0}],
    )
    assert result.summary["samples"] == 104
    counts = np.bincount(result.tables["steps"]["worker"], minlength=4)
    assert counts[0] < counts[1:].min()


def test_settings_that_an_algorithm_has_not_are_named_once():
    result = simulate(algorithm={"kind": "async-ps"}, learning={"optimizer": {"momentum": 0.9}})
    assert result.warnings == ("async-ps has no momentum; learning.optimizer is used without",)
    assert result.details["ignored_settings"] == ["learning.optimizer.momentum"]


@pytest.fixture
def rank_0_stays_away(monkeypatch):
    """Every other rank asks for a mean that can never be made."""
    from simulator.algorithms.sync_sgd import SyncSGD

    def replica(self, worker, rank, world):
        params, _ = worker.start()
        if rank:
            yield world.mean(rank, params)

    monkeypatch.setattr(SyncSGD, "replica", replica)


@pytest.mark.usefixtures("rank_0_stays_away")
def test_a_process_nobody_answers_is_reported():
    """A run that cannot go on is a result that says who waits for what."""
    result = run(scenario())
    assert result.summary["status"] == "stalled"
    assert "which still misses rank 0" in result.warnings[0]


def test_changing_a_value_in_place_raises(monkeypatch):
    from simulator.algorithms.sync_sgd import SyncSGD

    def replica(self, worker, rank, world):
        params, _ = worker.start()
        params = params.copy()
        batch = yield worker.load_batch()
        request = worker.compute_gradient(params, batch)
        params += 1.0  # the gradient is not yet evaluated
        yield request

    monkeypatch.setattr(SyncSGD, "replica", replica)
    with pytest.raises(ValueError, match="read-only"):
        played()


@pytest.mark.usefixtures("rank_0_stays_away")
def test_a_stalled_run_is_found_although_it_has_a_time_to_stop():
    assert run(scenario(stop={"steps": None, "time": "100 s"})).summary["status"] == "stalled"


def test_the_last_evaluation_is_at_the_end():
    for kind in ("sync-sgd", "async-ps", "dc-s3gd", "local-sgd", "layered-sgd"):
        result = simulate(algorithm={"kind": kind}, stop={"steps": None, "time": "0.777 s"})
        assert result.tables["evaluations"]["time_s"][-1] == 0.777


def test_a_target_met_at_the_start_ends_the_run_at_once():
    result = simulate(stop={"steps": 50, "target_accuracy": 0.01})
    assert (result.summary["simulated_time_s"], result.summary["samples"]) == (0.0, 0)


def test_evaluation_sees_a_server_as_it_is_at_that_instant():
    """A push that has arrived counts, one that is under way does not (decision 0002)."""
    push_ends = 0.05 + 125e6 * 8 / 10e9 + 25e-6
    for time, changed in ((push_ends - 1e-6, False), (push_ends + 1e-6, True)):
        result = simulate(
            algorithm={"kind": "async-ps"},
            topology={"hosts": 1, "gpus_per_host": 1},
            workload={"noise": "none", "gradient": "125 MB"},
            stop={"steps": 1, "time": time},
        )
        losses = result.tables["evaluations"]["train_loss"]
        assert len(losses) == 2
        assert (losses[0] != losses[1]) == changed


def test_throughput_is_the_full_size_jobs():
    result = simulate(workload={"batch_size": 100})
    assert result.summary["samples_per_s"] == pytest.approx(
        12 * 4 * 100 / result.summary["simulated_time_s"]
    )


def test_utilisation_is_busy_time_over_all_time():
    result = simulate(topology={"hosts": 2, "gpus_per_host": 0}, network={"all_reduce": "ring"})
    links, end = result.tables["links"], result.summary["simulated_time_s"]
    up = links["source"].index("host0")
    assert links["nbytes"][up] == pytest.approx(12 * 10e6)
    assert links["busy_s"][up] == pytest.approx(12 * 10e6 * 8 / 10e9)
    assert links["utilisation"][up] == pytest.approx(12 * 10e6 * 8 / 10e9 / end)


def test_what_runs_beside_a_worker_is_cut_where_the_worker_waits():
    """A hidden transfer ends in the books where the wait for it begins; a loader at the request."""
    disk = {"kind": "local-disk", "latency": "80 ms", "read_ahead": 1}
    result = simulate(storage=disk, algorithm={"kind": "dc-s3gd"}, workload={"gradient": "100 MB"})
    spans = result.tables["spans"]
    rows = list(
        zip(
            spans["worker"].tolist(),
            spans["lane"],
            spans["kind"],
            spans["start_s"].tolist(),
            spans["end_s"].tolist(),
            strict=True,
        )
    )
    for lane, kind in (("overlap", "communication"), ("loader", "io")):
        beside = [(w, start, end) for w, name, _, start, end in rows if name == lane]
        own = [(w, start, end) for w, name, k, start, end in rows if name == "worker" and k == kind]
        assert beside
        for w, start, end in beside:
            assert not any(v == w and max(s, start) < min(e, end) - 1e-12 for v, s, e in own)


def test_the_evaluated_model_is_the_weighted_mean():
    from simulator.cluster.progress import average

    parts = [(np.float32([1.0]), 1.0), (np.float32([4.0]), 2.0)]
    assert average(parts).tolist() == [3.0]


def test_no_collective_stays_open():
    cluster = played(
        algorithm={"kind": "layered-sgd"},
        stop={"steps": 30},
        storage={"kind": "local-disk", "latency": {"kind": "gamma", "mean": "90 ms", "cv": 1.0}},
    )
    assert all(not group._open for group in cluster.groups)


def test_an_evaluation_in_mid_flight_sees_the_pushes_that_have_arrived():
    """The answer is still under way; the server's value is not."""
    made = scenario(
        algorithm={"kind": "async-ps"},
        topology={"hosts": 1, "gpus_per_host": 1},
        workload={"noise": "none", "gradient": "125 MB"},
    )
    cluster, _ = build(made)
    for process in made.algorithm.processes(cluster):
        cluster.env.work(process, "worker")
    push_ends = 0.05 + 125e6 * 8 / 10e9 + 25e-6
    cluster.env.run(until=push_ends + 1e-6)
    cluster.progress.evaluate()
    losses = cluster.trace.evaluations.columns()["train_loss"]
    assert len(losses) == 2
    assert losses[0] != losses[1]


def test_what_happens_at_the_last_instant_is_part_of_the_run():
    result = simulate(
        topology={"hosts": 1, "gpus_per_host": 1},
        workload={"noise": "none"},
        stop={"steps": None, "time": "100 ms"},
    )
    assert result.tables["steps"]["end_s"].tolist() == [0.05, 0.1]
