"""What must not change when something else does: who is late, latencies, whose noise it is."""

from functools import partial

import numpy as np
import pytest

from simulator.cluster import Layout
from simulator.cluster.randomtimes import Constant, Gamma
from simulator.cluster.stragglers import RandomWorkers
from simulator.engine import Streams
from tests.make import simulate

LAYOUT = Layout(tuple(range(8)), (0,) * 8)


def test_who_is_late_does_not_depend_on_by_how_much():
    def late(delay):
        rng = partial(Streams(3).get, "straggler", 0)
        slowdown = RandomWorkers(count=2, delay=delay).bind(LAYOUT, rng)
        return [[rank for rank in range(8) if slowdown.delay(rank, step) > 0] for step in range(50)]

    assert late(Constant(1.0)) == late(Gamma(2.0, 0.7))


def loads(**storage):
    """How long each worker waits for data, step by step."""
    result = simulate(
        topology={"kind": "star", "hosts": 2, "gpus_per_host": 1},
        workload={"gradient": 0, "noise": "none", "compute": "10 ms", "batch_size": 10},
        storage={"kind": "local-disk"} | storage,
        stop={"steps": 30},
    )
    spans = zip(*result.tables["spans"].values(), strict=True)
    return [
        (worker, end - start)
        for worker, lane, kind, start, end in spans
        if (lane, kind) == ("worker", "io")
    ]


def test_processes_of_one_worker_queue_for_its_disk():
    """160 ms to read and 40 ms to decode a batch, 4 processes: the disk sets the pace."""
    disk = {"latency": "160 ms", "bandwidth": 1e18, "decode": "4 ms", "num_workers": 4}
    own, shared = (loads(**disk, shared=shared) for shared in (False, True))
    np.testing.assert_allclose([wait for _, wait in own], [wait for _, wait in shared])
    # The 8 batches that were read while the first ones were computed are soon used up.
    assert [wait for _, wait in own[-6:]] == pytest.approx([0.15] * 6, rel=1e-3)


def test_a_worker_more_leaves_the_latencies_of_the_others_as_they_are():
    latency = {"kind": "gamma", "mean": 0.05, "cv": 0.8}

    def own(hosts):
        result = simulate(
            topology={"kind": "star", "hosts": hosts, "gpus_per_host": 1},
            workload={"gradient": 0, "noise": "none", "compute": 0, "sample": 0},
            network={"fidelity": "alpha-beta"},
            algorithm={"kind": "async-ps"},
            storage={"kind": "shared-filesystem", "latency": latency, "bandwidth": 1e17},
        )
        steps = result.tables["steps"]
        return [np.diff(steps["end_s"][steps["worker"] == worker])[:5] for worker in range(2)]

    for fewer, more in zip(own(2), own(3), strict=True):
        np.testing.assert_allclose(fewer, more, atol=1e-4)
    assert not np.allclose(*own(2), atol=1e-3)  # and everybody has latencies of their own
