"""Lost workers: what it costs where they are waited for, and how others go on without."""

import numpy as np
import pytest

from simulator.algorithms import ALGORITHMS
from simulator.engine.process import again
from simulator.errors import ScenarioError, SimulatorError
from tests.make import played, scenario, simulate

NIC, LATENCY, GRADIENT, COMPUTE = 10e9, 1e-5, 1e8, 0.5
QUIET = {
    "topology": {
        "kind": "star",
        "hosts": 3,
        "gpus_per_host": 0,
        "host_link": {"bandwidth": NIC, "latency": LATENCY},
    },
    "network": {"all_reduce": "ring"},
    "workload": {"gradient": GRADIENT, "compute": COMPUTE, "noise": "none"},
    "stop": {"steps": 8},
}


def ring(n):
    return 2 * (n - 1) * (2 * LATENCY + GRADIENT / n * 8 / NIC)


T_AR = ring(3)
STEP = COMPUTE + T_AR


def failing(losses, kind="sync-sgd", more=QUIET, **failures):
    changes = {"failures": {"checkpoint": None, "restart": 2.0} | failures | {"losses": losses}}
    return simulate(**more, algorithm={"kind": kind}, **changes)


def ends(result, worker=0):
    steps = result.tables["steps"]
    return steps["end_s"][steps["worker"] == worker]


def timed(at, **who):
    return {"kind": "timed", "at": at} | who


def losses(result, worker):
    steps = result.tables["steps"]
    return steps["loss"][steps["worker"] == worker]


def outages(result):
    return [tuple(row) for row in zip(*map(np.ndarray.tolist, outage_columns(result)), strict=True)]


def outage_columns(result):
    return [result.tables["outages"][name] for name in ("worker", "lost_s", "back_s", "redone_s")]


@pytest.mark.parametrize("fidelity", ["flow", "message", "alpha-beta"])
def test_an_aborted_computation_is_repeated_after_repair(fidelity):
    """Lost in step 3: restart, all since the beginning again, and the step from its start."""
    lost = 3 * STEP + 0.3
    more = QUIET | {"network": {"all_reduce": "ring", "fidelity": fidelity}}
    result = failing([timed(lost, workers=[1])], more=more)
    back = lost + 2.0 + lost  # no checkpoint: all the work before is repeated
    assert outages(result) == [(1, lost, pytest.approx(back), pytest.approx(lost))]
    expected = [*(STEP * np.arange(1, 4)), *(back + STEP * np.arange(1, 6))]
    for worker in range(3):
        np.testing.assert_allclose(ends(result, worker), expected, rtol=1e-12)


@pytest.mark.parametrize("fidelity", ["flow", "message", "alpha-beta"])
def test_a_collective_under_way_is_repeated_by_all(fidelity):
    """Lost in the middle of an all-reduce: it begins anew when the worker is back."""
    lost = 2 * STEP + COMPUTE + 0.4 * T_AR
    more = QUIET | {"network": {"all_reduce": "ring", "fidelity": fidelity}}
    result = failing([timed(lost, workers=[2])], more=more)
    back = lost + 2.0 + lost
    expected = [STEP, 2 * STEP, *(back + T_AR + STEP * np.arange(6))]
    for worker in range(3):
        np.testing.assert_allclose(ends(result, worker), expected, rtol=1e-12)


def test_only_work_since_the_checkpoint_is_repeated_and_both_ways_cost_io():
    """Written every 2 steps by worker 0, which waits for the disk; read by the lost one."""
    disk = 8e9
    more = QUIET | {
        "storage": {"kind": "local-disk", "bandwidth": disk},
        "workload": QUIET["workload"] | {"sample": "0 B"},
    }
    write = 2 * GRADIENT * 8 / disk
    lost = 3 * STEP + write + 0.3
    result = failing([timed(lost, workers=[1])], more=more, checkpoint={"every": 2})
    redone = lost - 2 * STEP - write  # no checkpoint is written again
    back = lost + 2.0 + write + redone
    assert outages(result) == [(1, lost, pytest.approx(back), pytest.approx(redone))]
    io = result.tables["spans"]
    blocked = [
        end - start
        for worker, lane, kind, start, end in zip(*io.values(), strict=True)
        if (worker, lane, kind) == (0, "worker", "io")
    ]
    np.testing.assert_allclose(blocked, write)  # the state is that of the moment it began
    assert len(blocked) == 3  # after steps 2, 4, 6; after step 8 nobody waits for it


def test_time_in_which_somebody_was_down_is_not_repeated():
    """A second loss repeats the work before the first one once, not its outage."""
    first, second = 1.0, 9.0
    result = failing(
        [
            timed(first, workers=[1]),
            timed(second, workers=[2]),
        ],
        more=QUIET | {"stop": {"steps": 20}},
    )
    (_, _, back, _), (_, lost, _, redone) = outages(result)
    assert back == pytest.approx(first + 2.0 + first)
    assert redone == pytest.approx(first + (lost - back))


@pytest.mark.parametrize("kind", ["sync-sgd", "local-sgd"])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_shrinking_goes_on_and_the_lost_one_joins_with_what_all_have(kind, momentum):
    """Never waited for; back at the end of a collective, with parameters and momentum."""
    lost = 2 * STEP + 0.2
    changes = {
        "failures": {
            "on_loss": "shrink",
            "restart": 1.0,
            "losses": [timed(lost, workers=[0])],
        },
        "learning": {
            "dtype": "float64",
            "optimizer": {"kind": "sgd", "lr": 0.05, "momentum": momentum},
        },
        "stop": {"steps": 24},
        "algorithm": {"kind": kind} | ({"period": 3} if kind == "local-sgd" else {}),
    }
    cluster = played(**QUIET | changes)
    steps = cluster.trace.steps.columns()
    taken = [steps["step"][steps["worker"] == worker].tolist() for worker in range(3)]
    assert taken[1] == taken[2] == list(range(24))
    assert taken[0] != taken[1]
    assert taken[0] == sorted(set(taken[0]))
    assert taken[0][-1] == 23
    finals = [worker.params for worker in cluster.workers]
    np.testing.assert_array_equal(finals[0], finals[1])
    if kind == "sync-sgd":
        states = [worker.state for worker in cluster.workers]
        np.testing.assert_array_equal(states[0].velocity, states[1].velocity)


def test_while_one_is_away_the_mean_is_that_of_the_others():
    """Steps after the loss are those of a run of two workers with the same data and parameters."""
    lost = 2 * STEP + 0.2
    result = failing([timed(lost, workers=[1])], on_loss="shrink", restart=None)
    end = ends(result)
    np.testing.assert_allclose(np.diff(end)[2:], COMPUTE + ring(2), rtol=1e-12)
    # what was asked for but not entered is done by two, from the moment both are there
    assert end[2] == pytest.approx(2 * STEP + COMPUTE + ring(2), rel=1e-12)
    assert len(ends(result, 1)) == 2
    assert result.summary["status"] == "completed"
    assert result.warnings == (f"worker 1 was lost at {lost:.6g} s and did not come back",)


def test_a_part_that_was_entered_is_kept():
    """Lost while the all-reduce runs: it ends as it would have, with three parts."""
    lost = COMPUTE + 0.5 * T_AR
    whole = failing([timed(1e6, workers=[1])], on_loss="shrink")
    result = failing([timed(lost, workers=[1])], on_loss="shrink", restart=None)
    assert ends(result)[0] == pytest.approx(STEP, rel=1e-12)
    for worker in (0, 2):  # the loss of the next step is that at parameters with all three parts
        assert losses(result, worker)[1] == losses(whole, worker)[1]
        assert losses(result, worker)[2] != losses(whole, worker)[2]


def test_asynchronous_workers_go_on_and_tickets_are_not_lost():
    """The others take the steps of one that never comes back; nothing is counted twice."""
    result = failing([timed(1.2, workers=[1])], kind="async-ps", restart=None)
    steps = result.tables["steps"]
    assert len(steps["worker"]) == 24
    assert (steps["worker"] == 1).sum() == 1
    assert result.summary["status"] == "completed"
    assert result.summary["samples"] == 24 * 8


def test_asynchronous_workers_do_not_wait_for_one_that_is_long_away():
    """The others take its step and the run ends; when all are away it waits for the first."""
    long, short = {"away": 1000.0}, {"away": 5.0}
    result = failing([timed(1.2, workers=[1]) | long], kind="async-ps")
    assert result.summary["simulated_time_s"] < 20
    assert len(result.tables["steps"]["worker"]) == 24
    everyone = [
        timed(1.2, workers=[0, 1]) | long,
        timed(1.2, workers=[2]) | short,
    ]
    result = failing(everyone, kind="async-ps")
    steps = result.tables["steps"]
    assert len(steps["worker"]) == 24
    assert set(steps["worker"][steps["end_s"] > 1.2]) == {2}
    assert result.summary["status"] == "completed"


def test_an_asynchronous_worker_repeats_its_gradient_and_no_more():
    lost = 0.3
    result = failing([timed(lost, workers=[1])], kind="async-ps")
    spans = result.tables["spans"]
    own = [
        (kind, start, end)
        for worker, lane, kind, start, end in zip(*spans.values(), strict=True)
        if worker == 1 and lane == "worker"
    ]
    assert own[0] == ("compute", 0.0, lost)
    assert own[1] == ("idle", lost, lost + 2.0)
    assert own[2] == ("compute", lost + 2.0, pytest.approx(lost + 2.0 + COMPUTE))


def test_a_run_that_cannot_go_on_says_who_waits_for_what():
    result = failing([timed(1.0, hosts=1)], restart=None)
    assert result.summary["status"] == "stalled"
    text = "\n".join(result.warnings)
    assert "worker 1 is down" in text
    assert "worker 0 waits for all-reduce of world (rank 0), which still misses rank 1" in text
    assert "worker 1 was lost at 1 s and did not come back" in text


def test_when_all_are_lost_for_good_the_run_is_no_success():
    result = failing([timed(1.0, fraction=1.0)], on_loss="shrink", restart=None)
    assert result.summary["status"] == "stalled"


def test_when_all_are_lost_the_first_to_return_begins_where_they_were():
    result = failing([timed(4 * STEP + 0.1, fraction=1.0)], on_loss="shrink", restart=0.5)
    assert result.summary["status"] == "completed"
    steps = result.tables["steps"]
    assert sorted(steps["step"][steps["worker"] == 0]) == list(range(8))


def test_losses_that_outrun_all_repairs_end():
    result = failing([{"kind": "random", "mtbf": 0.01}], restart=0.1)
    assert result.summary["status"] == "stalled"
    assert "lost again before they have repeated what they lost" in result.warnings[0]


def test_spot_machines_use_their_notice():
    """Told: a checkpoint at once, and no more to repeat than what was done during the notice."""
    told, notice = 3 * STEP + 0.1, 0.8
    loss = {"kind": "preemption", "hosts": [1], "at": told, "notice": notice, "away": 3.0}
    result = failing([loss], checkpoint={"every": 1000})
    assert outages(result) == [
        (1, told + notice, pytest.approx(told + notice + 3.0 + notice), pytest.approx(notice))
    ]
    # without waiting it leaves at the end of its step, and nothing is aborted
    result = failing([loss], on_loss="shrink", more=QUIET | {"stop": {"steps": 20}})
    (_, lost, back, redone) = outages(result)[0]
    assert lost == pytest.approx(4 * STEP)
    assert redone == 0
    assert back >= told + notice + 3.0


def test_random_losses_come_at_the_rate_that_is_asked_for():
    """Exponential lives: the number in a long run, within 4 standard deviations."""
    mtbf, hosts, end = 5.0, 3, 2000.0
    result = simulate(
        **QUIET | {"stop": {"steps": None, "time": end}},
        algorithm={"kind": "async-ps"},
        failures={"restart": 0.0, "losses": [{"kind": "random", "mtbf": mtbf}]},
    )
    count, expected = len(result.tables["outages"]["worker"]), end * hosts / mtbf
    assert abs(count - expected) < 4 * np.sqrt(expected)


def test_the_communicators_of_a_lost_host_are_lost_too():
    """layered-sgd: nothing of the lost host moves until it is back."""
    more = QUIET | {"topology": {"kind": "star", "hosts": 2, "gpus_per_host": 2}}
    result = failing([timed(1.0, hosts=1)], kind="layered-sgd", more=more)
    back = outages(result)[0][2]
    steps = result.tables["steps"]["end_s"]
    assert not ((steps > 1.0) & (steps < back)).any()
    assert len(steps) == 32


@pytest.mark.parametrize("fidelity", ["flow", "message", "alpha-beta"])
@pytest.mark.parametrize("on_loss", ["wait", "shrink"])
@pytest.mark.parametrize("kind", sorted(ALGORITHMS))
def test_every_algorithm_survives_the_loss_of_a_host(kind, on_loss, fidelity):
    """It finishes, no step counts twice, and all time is accounted for; or it is refused."""
    changes = {
        "algorithm": {"kind": kind},
        "network": {"fidelity": fidelity},
        "failures": {
            "on_loss": on_loss,
            "restart": 0.3,
            "losses": [timed(0.31, hosts=1)],
        },
    }
    if on_loss not in ALGORITHMS[kind].needs.failures:
        with pytest.raises(ScenarioError, match=f"failures.on_loss: {kind} cannot {on_loss}: "):
            scenario(**changes)
        return
    result = simulate(**changes)
    steps = result.tables["steps"]
    assert result.summary["status"] == "completed"
    pairs = list(zip(steps["worker"].tolist(), steps["step"].tolist(), strict=True))
    assert len(set(pairs)) == len(pairs)
    assert result.summary["samples"] == 8 * len(pairs)
    assert sum(result.summary["breakdown"].values()) == pytest.approx(
        result.summary["simulated_time_s"], rel=1e-12
    )


@pytest.mark.parametrize(
    ("failures", "message"),
    [
        (
            {"losses": [{"kind": "timed", "at": 1.0}]},
            "failures.losses.0: give exactly one of workers",
        ),
        ({"losses": [{"kind": "timed", "at": 1.0, "hosts": "1-2"}]}, "there is no host 2; the 2"),
        ({"losses": [{"kind": "preemption"}]}, "failures.losses.0: give exactly one of at and"),
        ({"losses": [{"kind": "random", "mtbf": 0}]}, "losses.0.mtbf: 0 is zero"),
        ({"losses": [{"kind": "timed", "hosts": 0}]}, "failures.losses.0.at: is missing"),
        ({"on_loss": "hope"}, "failures.on_loss: no such choice 'hope'"),
        ({"checkpoint": {"every": 0}}, "failures.checkpoint.every: "),
    ],
)
def test_failures_that_cannot_be(failures, message):
    with pytest.raises(ScenarioError) as raised:
        scenario(failures=failures)
    assert message in str(raised.value)


def test_only_what_depends_on_its_arguments_alone_can_begin_again():
    base = 3

    def inner():
        yield base

    with pytest.raises(SimulatorError, match="cannot be begun again"):
        again(inner())
