"""What happens where a run ends, a worker is lost for good, or hosts share a node."""

import numpy as np
import pytest

from simulator.algorithms.slowmo import SlowMo
from tests.make import played, scenario, simulate


def test_hosts_models_on_one_node_are_averaged_no_more_than_they_learn():
    """Averagings that take no time do not go on for ever."""
    changes = {"topology": {"hosts": 1, "gpus_per_host": 4}}
    result = simulate(**changes, algorithm={"kind": "lasgd", "group_size": 1, "period": 1})
    assert result.summary["status"] == "completed"


def test_a_slow_host_does_not_make_masters_average_all_the_time():
    """One averaging per `period` updates of the faster host."""
    result = simulate(
        topology={"hosts": 2, "gpus_per_host": 2},
        workload={"noise": "none", "gradient": "1 MB"},
        stragglers=[{"kind": "slow-workers", "workers": [2, 3], "factor": 3}],
        algorithm={"kind": "lasgd", "period": 8},
        stop={"steps": 60},
    )
    steps = result.tables["steps"]["worker"]
    fast = np.bincount(steps, minlength=4)[:2].sum()
    averagings = result.tables["messages"]["kind"].count("all-reduce")
    assert averagings == pytest.approx(fast / 8, abs=1)


def test_the_servers_model_counts_where_workers_never_finish_a_step():
    """Two of four are always aborted; what is evaluated does not hold their first parameters."""
    cluster = played(
        topology={"hosts": 4, "gpus_per_host": 0},
        stragglers=[{"kind": "slow-workers", "workers": [2, 3], "factor": 20}],
        workload={"noise": "none"},
        algorithm={"kind": "backup-workers", "backup": 2},
        stop={"time": "0.9 s", "steps": None},
    )
    ((params, _),) = cluster.evaluated()
    np.testing.assert_array_equal(cluster.workers[3].params, cluster.job.start)
    loss = [cluster.job.evaluate(one)[0] for one in (params, cluster.workers[0].params)]
    assert loss[0] == pytest.approx(loss[1], rel=0.1)  # the last answer may be under way


@pytest.mark.parametrize("restart", [0.3, None])
@pytest.mark.parametrize("at", [0.31, 0.55, 0.58, 0.6])
@pytest.mark.parametrize("kind", ["laga", "backup-workers"])
def test_nobody_waits_for_a_worker_that_finds_no_work_when_it_is_back(kind, at, restart):
    """Or for one that never comes back."""
    result = simulate(
        topology={"hosts": 4, "gpus_per_host": 0},
        workload={"noise": "none"},
        algorithm={"kind": kind},
        failures={"restart": restart, "losses": [{"kind": "timed", "at": at, "workers": [1]}]},
    )
    assert result.summary["status"] == "completed"
    assert result.summary["samples"] == 12 * 4 * 8


def test_gradients_that_came_too_late_are_not_applied():
    for until in (0.072, 0.2, None):
        result = simulate(
            topology={"hosts": 4, "gpus_per_host": 0},
            algorithm={"kind": "backup-workers", "backup": 2, "late": "finish"},
            stop={"steps": 12} | ({"time": until} if until else {}),
        )
        summary = result.summary
        assert 0 <= summary["samples_applied"] <= summary["samples"]
    assert summary["samples_applied"] < summary["samples"]
    steps = result.tables["steps"]
    for worker in range(4):  # a worker's own count
        own = steps["step"][steps["worker"] == worker]
        assert own.tolist() == list(range(len(own)))


def test_slowmo_is_what_its_base_is():
    made = scenario(algorithm={"kind": "slowmo", "base": "k-avg"}).algorithm
    assert "momentum" not in made.needs.optimizer
    assert "momentum" in SlowMo.needs.optimizer
    result = simulate(
        algorithm={"kind": "slowmo", "base": "k-avg", "buffers": "keep"},
        learning={"optimizer": {"momentum": 0.9}},
    )
    assert "learning.optimizer.momentum" in result.details["ignored_settings"]
    assert result.details["specification"] == "from the paper"
    over = simulate(algorithm={"kind": "slowmo", "base": "sasgd"})
    assert over.details["specification"] == "reconstruction"


def test_slowmo_keeps_what_was_learned_where_the_rate_ends_at_zero():
    """Without slow momentum it is its base, also in the period in which the schedule ends."""
    same = {
        "learning": {
            "dtype": "float64",
            "optimizer": {"schedule": {"kind": "cosine", "steps": 15}},
        },
        "stop": {"steps": 16},
    }
    base = played(**same, algorithm={"kind": "local-sgd"})
    slow = played(**same, algorithm={"kind": "slowmo", "slow_momentum": 0})
    np.testing.assert_allclose(slow.evaluated()[0][0], base.evaluated()[0][0], atol=1e-12)
    assert len({id(worker.params) for worker in slow.workers}) == 1


def test_a_bucket_of_its_own_for_every_tensor():
    cluster = played(
        workload={"preset": "resnet50", "gradient": None, "compute": "50 ms"},
        algorithm={"kind": "ddp", "bucket": 0, "first_bucket": 0},
        stop={"steps": 1},
    )
    assert len(cluster.trace.messages.columns()["kind"]) == 161


def test_only_dense_gradients_are_sent_tensor_by_tensor():
    """A sparse message, or a bucket, is one piece whatever `network.payload` says."""
    for kind in ("topk-sgd", "gs-sgd", "ddp"):
        per_tensor = {"payload": "per-tensor"}
        times = [
            simulate(algorithm={"kind": kind}, workload={"tensors": 50}, network=network).summary[
                "simulated_time_s"
            ]
            for network in ({}, per_tensor)
        ]
        assert times[0] == times[1]
