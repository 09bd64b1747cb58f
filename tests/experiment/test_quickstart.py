"""What the shipped scenarios promise in their first comment."""

import pytest

from simulator.experiment.loading import load
from simulator.experiment.run import run


def summary(name, *settings):
    return run(load(name, settings)).summary


def test_layered_sgd_has_the_loss_of_sync_sgd_earlier():
    flat, layered = (
        summary("quickstart", f"algorithm.kind={kind}") for kind in ("sync-sgd", "layered-sgd")
    )
    assert layered["final_loss"] == pytest.approx(flat["final_loss"], abs=1e-5)
    assert layered["simulated_time_s"] < 0.9 * flat["simulated_time_s"]


def test_the_quickstart_has_exposed_loading_and_one_slow_worker():
    made = load("quickstart")
    assert (
        summary("quickstart")["breakdown"]["io_s"] > 0.1 * summary("quickstart")["simulated_time_s"]
    )
    (slow,) = made.stragglers
    assert slow.count == 1
    assert made.resolved()["algorithm"] == {"kind": "sync-sgd"}


def test_reading_ahead_takes_layered_sgds_advantage_away():
    """Acceptance item 4: without exposed loading there is nothing to hide behind."""

    def gain(depth):
        times = [
            summary(
                "read-ahead",
                f"algorithm.kind={kind}",
                f"storage.read_ahead={depth}",
                "stop.steps=40",
            )["simulated_time_s"]
            for kind in ("sync-sgd", "layered-sgd")
        ]
        return times[0] - times[1]

    assert gain(0) > 5 * abs(gain(2))


def test_a_slow_network_favours_rare_communication():
    times = {
        kind: summary("slow-network", f"algorithm.kind={kind}")["time_to_target_s"]
        for kind in ("sync-sgd", "local-sgd")
    }
    assert times["local-sgd"] < times["sync-sgd"] / 2


def test_slow_workers_cost_synchronous_sgd_their_factor_and_others_their_share():
    def rate(kind, factor):
        return summary(
            "slow-quarter",
            f"algorithm.kind={kind}",
            f"stragglers.0.factor={factor}",
            "workload.gradient=1 MB",
            "stop.steps=60",
        )["samples_per_s"]

    assert rate("sync-sgd", 2) < 0.65 * rate("sync-sgd", 1)
    assert rate("async-ps", 2) > 0.8 * rate("async-ps", 1)
