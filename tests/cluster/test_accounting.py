"""What runs beside a worker, against closed forms."""

import numpy as np
import pytest

from tests.make import simulate

QUIET = {"noise": "none", "compute": "100 ms"}
TWO = {"hosts": 2, "gpus_per_host": 0}


def lane(result, name, kind, worker=0):
    """Lengths of the spans of one lane and kind."""
    spans = result.tables["spans"]
    return [
        end - start
        for w, n, k, start, end in zip(
            spans["worker"],
            spans["lane"],
            spans["kind"],
            spans["start_s"],
            spans["end_s"],
            strict=True,
        )
        if (w, n, k) == (worker, name, kind)
    ]


def ring(nbytes):
    return 2 * (20e-6 + nbytes / 2 * 8 / 10e9)


@pytest.mark.parametrize(("nbytes", "hidden"), [(25e6, ring(25e6)), (400e6, 0.1)])
def test_hidden_transfers_are_min_of_compute_and_all_reduce(nbytes, hidden):
    """DC-S3GD: fully hidden if shorter than a step; else its rest is waited for."""
    result = simulate(
        algorithm={"kind": "dc-s3gd"},
        topology=TWO,
        stop={"steps": 5},
        workload={**QUIET, "gradient": nbytes},
        network={"all_reduce": "ring"},
    )
    assert lane(result, "overlap", "communication") == pytest.approx([hidden] * 4)
    exposed = lane(result, "worker", "communication")
    t_ar = ring(nbytes)
    assert sum(exposed) == pytest.approx(4 * max(0, t_ar - 0.1) + t_ar)


def test_loading_that_is_partly_ahead_waits_for_the_rest_only():
    """T_io = 150 ms, T_c = 100 ms, depth 1: the loader is the bottleneck."""
    disk = {
        "kind": "local-disk",
        "latency": "150 ms",
        "bandwidth": "100000 Gbit/s",
        "read_ahead": 1,
    }
    result = simulate(
        storage=disk, topology={"hosts": 1, "gpus_per_host": 0}, workload=QUIET, stop={"steps": 6}
    )
    load = 0.15 + 64 * 110_000 * 8 / 1e14
    assert lane(result, "worker", "io") == pytest.approx([load] + [load - 0.1] * 5)
    assert lane(result, "loader", "io") == pytest.approx([0.1] * 5)
    assert result.summary["simulated_time_s"] == pytest.approx(6 * load + 0.1)


def test_a_wait_that_is_cut_is_counted_as_what_it_was():
    stop = {"steps": 5, "time": 0.1 + ring(10e6) / 2}
    result = simulate(topology=TWO, workload=QUIET, network={"all_reduce": "ring"}, stop=stop)
    assert result.summary["breakdown"] == pytest.approx(
        {"compute_s": 0.1, "io_s": 0, "communication_s": ring(10e6) / 2, "idle_s": 0}
    )


def test_random_stragglers_differ_by_seed():
    from simulator.cluster import Layout
    from simulator.cluster.stragglers import SlowWorkers
    from simulator.engine import Streams

    layout = Layout(tuple(range(20)), (0,) * 20)
    streams = [Streams(seed).get("straggler", 0) for seed in range(8)]
    chosen = {tuple(SlowWorkers(count=2).chosen(layout, rng)) for rng in streams}
    assert len(chosen) > 4


def test_rooted_messages_are_in_the_books_with_their_times():
    result = simulate(
        algorithm={"kind": "layered-sgd"},
        stop={"steps": 1},
        workload=QUIET,
        topology={"hosts": 1, "gpus_per_host": 2},
    )
    inside = 5e-6 + 10e6 * 8 / 100e9
    messages = result.tables["messages"]
    rows = {
        kind: (start, end)
        for kind, start, end in zip(
            messages["kind"], messages["start_s"].tolist(), messages["end_s"].tolist(), strict=True
        )
    }
    assert rows["reduce"] == pytest.approx((0.1, 0.1 + inside))
    assert rows["broadcast"] == pytest.approx((0.1 + inside, 0.1 + 2 * inside))


def test_a_late_loader_delays_its_siblings_in_a_tree_but_not_in_a_star():
    def finish(shape):
        result = simulate(
            algorithm={"kind": "layered-sgd", "broadcast": shape},
            seed=4,
            topology={"hosts": 1, "gpus_per_host": 4},
            workload=QUIET,
            storage={
                "kind": "local-disk",
                "latency": {"kind": "gamma", "mean": "200 ms", "cv": 1.0},
            },
        )
        steps = result.tables["steps"]
        return [np.ptp(steps["end_s"][steps["step"] == step]) for step in range(11)]

    star, tree = finish("star"), finish("tree")
    assert np.mean(tree) < np.mean(star)


def test_a_wait_that_ends_during_a_transfer_has_no_empty_spans():
    """As when AnyOf fires during a request to a server."""
    from simulator.cluster.accounting import COMMUNICATION, IDLE, Lane
    from simulator.engine import Activity, Clock, Table

    spans = Table(worker="i8", lane="i1", kind="i1", start_s="f8", end_s="f8")
    answer = Activity(Clock(), "an answer")
    answer.busy = ((1.0, 4.0), (5.0, 6.0))
    Lane(spans, 0, "worker").resume(answer, 0.0, 3.0)
    rows = spans.columns()
    assert rows["kind"].tolist() == [IDLE, COMMUNICATION]
    assert rows["start_s"].tolist() == [0.0, 1.0]
    assert rows["end_s"].tolist() == [1.0, 3.0]
