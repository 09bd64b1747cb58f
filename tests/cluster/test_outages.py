"""Corners of outages: time in the books, joins, losses upon losses, checkpoints, streams."""

import numpy as np
import pytest

from simulator.errors import GroupError
from tests.cluster.test_failures import COMPUTE, QUIET, STEP, T_AR, ends, failing, outages, timed
from tests.make import played, simulate


def spent(result, worker, kind):
    """Seconds of one kind in a worker's own lane."""
    spans = zip(*result.tables["spans"].values(), strict=True)
    own = [
        end - start for w, lane, k, start, end in spans if (w, lane, k) == (worker, "worker", kind)
    ]
    return sum(own)


@pytest.mark.parametrize("on_loss", ["wait", "shrink"])
def test_time_away_is_idle_and_what_is_computed_is_what_was_asked_for(on_loss):
    """8 steps of those who stay; the lost one's aborted part counts, its absence does not."""
    lost = 2 * STEP + 0.2
    more = QUIET | {"stop": {"steps": 10}}
    result = failing([timed(lost, workers=[1])], on_loss=on_loss, restart=1.0, more=more)
    (_, _, back, _) = outages(result)[0]
    for worker in (0, 2):
        assert spent(result, worker, "compute") == pytest.approx(10 * COMPUTE)
    taken = len(ends(result, 1))
    assert spent(result, 1, "compute") == pytest.approx(taken * COMPUTE + 0.2)
    assert spent(result, 1, "idle") >= back - lost
    total = sum(spent(result, 1, kind) for kind in ("compute", "idle", "communication", "io"))
    assert total == pytest.approx(result.summary["simulated_time_s"])


@pytest.mark.parametrize("on_loss", ["wait", "shrink"])
def test_transfers_are_communication_in_runs_with_failures_too(on_loss):
    result = failing([timed(1e6, workers=[1])], on_loss=on_loss)
    for worker in range(3):
        assert spent(result, worker, "communication") == pytest.approx(8 * T_AR)


@pytest.mark.parametrize("all_reduce", ["tree", "recursive-doubling", "ring"])
@pytest.mark.parametrize("kind", ["sync-sgd", "local-sgd"])
@pytest.mark.parametrize("lost", [0.11, 0.23, 0.31])
def test_joiners_are_in_step_where_ranks_leave_one_by_one(all_reduce, kind, lost):
    """Fidelity message, computing much shorter than a collective: nobody is left waiting."""
    more = {
        "topology": {"kind": "star", "hosts": 5, "gpus_per_host": 0},
        "network": {"fidelity": "message", "all_reduce": all_reduce},
        "workload": {
            "gradient": 5e7,
            "compute": 1e-4,
            "noise": {"kind": "lognormal", "sigma": 0.5},
        },
        "stop": {"steps": 16},
        "learning": {"dtype": "float64"},
        "failures": {"on_loss": "shrink", "restart": 0.05, "losses": [timed(lost, workers=[3])]},
        "algorithm": {"kind": kind} | ({"period": 2} if kind == "local-sgd" else {}),
    }
    cluster = played(**more)
    steps = cluster.trace.steps.columns()
    assert steps["step"][steps["worker"] == 3][-1] == 15
    finals = [worker.params for worker in cluster.workers]
    for params in finals[1:]:
        np.testing.assert_array_equal(params, finals[0])


@pytest.mark.parametrize("lost", np.linspace(0.05, 0.6, 8).tolist())
def test_a_worker_lost_while_it_waits_for_data_asks_again(lost):
    """Slow storage, one loader process: the batch it waited for is the next one."""
    result = simulate(
        topology={"kind": "star", "hosts": 2, "gpus_per_host": 1},
        workload={"gradient": "1 MB", "compute": "10 ms", "noise": "none"},
        storage={
            "kind": "shared-filesystem",
            "latency": "100 ms",
            "num_workers": 1,
            "read_ahead": 1,
        },
        failures={"on_loss": "shrink", "restart": 0.01, "losses": [timed(lost, workers=[1])]},
        stop={"steps": 12},
    )
    assert result.summary["status"] == "completed"
    assert ends(result, 1)[-1] == ends(result, 0)[-1]


def test_one_who_waits_to_join_begins_when_the_last_of_the_others_is_lost():
    result = failing(
        [timed(0.1, workers=[1], away=0.2), timed(0.45, workers=[0, 2])],
        on_loss="shrink",
        restart=None,
    )
    assert result.summary["status"] == "completed"
    assert len(ends(result, 1)) == 8
    assert len(ends(result, 0)) == 0


def test_a_machine_that_is_lost_twice_is_back_when_both_losses_are_over():
    losses = [timed(1.0, workers=[1], away=2.0), timed(2.0, workers=[1], away=4.0)]
    (row,) = outages(failing(losses))
    assert row == (1, 1.0, pytest.approx(7.0), pytest.approx(1.0))
    gone = failing([timed(1.0, workers=[1], away=1.5), timed(2.0, workers=[1])], restart=None)
    assert gone.summary["status"] == "stalled"


def test_a_loss_while_steps_are_repeated_begins_the_way_back_anew():
    """Back at 2.2, repeating 1.2 s until 3.4, lost again at 3.0: away, and all of it again."""
    losses = [timed(1.2, workers=[1], away=1.0), timed(3.0, workers=[1], away=1.0)]
    (row,) = outages(failing(losses))
    assert row == (1, 1.2, pytest.approx(4.0 + 1.2), pytest.approx(1.2))


def test_a_short_loss_on_the_way_back_does_not_end_it_early():
    """Lost again for a moment while it repeats 1.2 s: it repeats them from the beginning."""
    losses = [timed(1.0, workers=[1], away=1.0), timed(2.5, workers=[1], away=0.0)]
    result = failing(losses)
    (row,) = outages(result)
    assert row == (1, 1.0, pytest.approx(2.5 + 1.0), pytest.approx(1.0))
    assert ends(result, 1)[1] == pytest.approx(3.5 + STEP)


def test_one_who_has_left_for_good_computes_nothing_when_it_is_lost_again():
    """Asynchronous: back when no step is left, and lost once more before the others have ended."""
    more = QUIET | {"stop": {"steps": 1}}
    losses = [timed(0.3, workers=[1], away=1.5), timed(2.0, workers=[1], away=0.01)]
    slow = [{"kind": "slow-workers", "workers": 2, "factor": 6}]
    result = failing(losses, kind="async-ps", more=more | {"stragglers": slow})
    end = result.summary["simulated_time_s"]
    assert end > 2.5
    assert len(ends(result, 0)) == 2  # it took the step that was given back
    assert spent(result, 1, "compute") == pytest.approx(0.3)


def test_who_begins_anew_repeats_all_that_was_done_since_the_checkpoint():
    """Without waiting, work goes on while somebody is away; the last loss says how much it was."""
    losses = [timed(0.2, workers=[0]), timed(4 * STEP + 0.1, workers=[1, 2], away=1.0)]
    result = failing(losses, on_loss="shrink", restart=None)
    redone = {worker: seconds for worker, _, _, seconds in outages(result)}
    assert max(redone.values()) == pytest.approx(4 * STEP + 0.1, rel=0.1)
    assert result.summary["status"] == "completed"


def test_a_checkpoint_whose_writer_was_lost_meanwhile_does_not_count():
    more = QUIET | {
        "storage": {"kind": "local-disk", "bandwidth": 8e9},
        "workload": QUIET["workload"] | {"sample": "0 B"},
        "stop": {"steps": 12},
    }
    losses = [timed(STEP + 0.5, workers=[0], away=0.1), timed(30.0, workers=[1])]
    checkpoint = {"every": 1, "nbytes": 3e9}  # 3 s each
    first, _ = outages(failing(losses, more=more, checkpoint=checkpoint))
    assert first[3] == pytest.approx(STEP)  # nothing had been saved


def test_the_size_of_a_checkpoint_is_what_is_written():
    more = QUIET | {"storage": {"kind": "shared-filesystem", "bandwidth": 8e9}}
    more |= {"workload": QUIET["workload"] | {"sample": "0 B"}}
    for nbytes, expected in ((None, 2e8), (5e8, 5e8)):
        result = failing(
            [timed(1e6, workers=[1])], more=more, checkpoint={"every": 4, "nbytes": nbytes}
        )
        messages = result.tables["messages"]
        written = [
            n
            for kind, n in zip(messages["kind"], messages["nbytes"], strict=True)
            if kind == "write"
        ]
        assert written[0] == expected
        assert messages["target"][messages["kind"].index("write")] == "storage0"


def test_checkpoints_leave_the_draws_of_loading_as_they_are():
    """The latency of batch k is the k-th draw, whatever else is read and in whatever order."""

    def io(checkpoint):
        result = simulate(
            workload={"gradient": 0, "noise": "none", "compute": "50 ms", "sample": 0},
            storage={"kind": "local-disk", "latency": {"kind": "gamma", "mean": 0.1, "cv": 1}},
            failures={"checkpoint": checkpoint, "losses": [timed(1e6, workers=[1])]},
        )
        spans = zip(*result.tables["spans"].values(), strict=True)
        return [
            end - start
            for w, lane, kind, start, end in spans
            if (w, lane, kind) == (1, "worker", "io")
        ]

    np.testing.assert_allclose(io({"every": 2}), io(None), rtol=1e-9)


def test_noise_belongs_to_its_step_after_a_rejoin_too():
    noisy = QUIET | {"workload": QUIET["workload"] | {"noise": {"kind": "lognormal", "sigma": 0.5}}}
    noisy |= {"stop": {"steps": 12}}

    def computed(result, worker, step):
        spans = zip(*result.tables["spans"].values(), strict=True)
        own = [
            e - s
            for w, lane, kind, s, e in spans
            if (w, lane, kind) == (worker, "worker", "compute")
        ]
        return own[step - 12]

    plain = failing([timed(1e6, workers=[1])], more=noisy, on_loss="shrink")
    result = failing([timed(1.7, workers=[1])], more=noisy, on_loss="shrink", restart=0.5)
    for step in (10, 11):
        assert computed(result, 1, step) == pytest.approx(computed(plain, 1, step), rel=1e-9)


def test_hosts_and_losses_have_streams_of_their_own():
    """Different times for each, and the same ones beside another host."""

    def lost(hosts, entries=1):
        result = simulate(
            **QUIET
            | {
                "topology": QUIET["topology"] | {"hosts": hosts},
                "stop": {"steps": None, "time": 40.0},
            },
            algorithm={"kind": "async-ps"},
            failures={"restart": 1.0, "losses": [{"kind": "random", "mtbf": 5.0}] * entries},
        )
        rows = outages(result)
        return {rank: [row[1] for row in rows if row[0] == rank] for rank in range(hosts)}

    two, three = lost(2), lost(3)
    assert two[0] == three[0]
    assert two[1] == three[1]
    assert not set(two[0]) & set(two[1])
    assert two[0] != lost(2, entries=2)[0]


def test_the_model_is_evaluated_while_somebody_is_away():
    """Steps count as whole when those who take part have finished them."""
    result = failing(
        [timed(2 * STEP + 0.1, workers=[1])],
        on_loss="shrink",
        restart=None,
        more=QUIET | {"evaluate": {"every": 16}},
    )
    evaluations = result.tables["evaluations"]
    assert len(evaluations["time_s"]) == 9  # at the start, and after each step
    assert evaluations["samples"].tolist() == [0, 24, 48, 64, 80, 96, 112, 128, 144]


@pytest.mark.parametrize("lost", [1.0, 1.21, 1.26, 1.4])
def test_a_lost_host_takes_its_communicator_with_it_to_the_instant(lost):
    """layered-sgd: whatever the communicators were doing is done anew after the repair."""
    more = QUIET | {"topology": {"kind": "star", "hosts": 2, "gpus_per_host": 2}}
    plain = failing([timed(1e6, hosts=1)], kind="layered-sgd", more=more)
    result = failing([timed(lost, hosts=1)], kind="layered-sgd", more=more)
    back = outages(result)[0][2]
    period = np.diff(ends(plain))[-1]
    before = (ends(plain) < lost).sum()
    after = ends(result)[before]
    assert back < after <= back + period + 1e-9
    np.testing.assert_allclose(np.diff(ends(result)[before:])[:-1], period, rtol=1e-9)


def test_steps_of_lost_workers_that_nobody_took_are_told():
    """The last step is given back when all others have ended: nobody is there to take it."""
    once = QUIET | {
        "stop": {"steps": 1},
        "stragglers": [{"kind": "slow-workers", "workers": 2, "factor": 4}],
    }
    result = failing([timed(1.9, workers=[2])], kind="async-ps", restart=None, more=once)
    assert len(result.tables["steps"]["worker"]) == 2
    assert result.summary["status"] == "stalled"
    assert "worker 2 was lost at 1.9 s and did not come back" in result.warnings
    back = failing([timed(1.9, workers=[2])], kind="async-ps", restart=1.0, more=once)
    assert back.summary["status"] == "completed"
    assert len(back.tables["steps"]["worker"]) == 3


def test_a_run_that_was_cut_has_nothing_to_tell_of_steps_that_were_left():
    more = QUIET | {"stop": {"steps": 50, "time": 5.0}}
    result = failing([timed(1.2, workers=[1])], kind="async-ps", restart=1.0, more=more)
    assert (result.summary["status"], result.warnings) == ("completed", ())


def test_asynchronous_runs_in_which_all_are_lost_for_good_are_no_success():
    result = failing([timed(1.2, fraction=1.0)], kind="async-ps", restart=None)
    assert result.summary["status"] == "stalled"


def test_a_rooted_collective_cannot_go_on_without_its_root():
    from simulator.engine import Clock, Table
    from simulator.network import AlphaBeta, ChangingGroup, Choices
    from topologies import Star

    env = Clock()
    messages = Table(carrier="i8", kind="i1", nbytes="f8", start_s="f8", end_s="f8")
    network = AlphaBeta(env, Star(hosts=3, gpus_per_host=0).build(), messages)
    group = ChangingGroup(network, ["host0", "host1", "host2"], 1e6, "world", Choices())
    group.broadcast(1)
    with pytest.raises(
        GroupError, match="broadcast of group 'world' cannot go on without its root"
    ):
        group.leave(0)
    with pytest.raises(GroupError, match=r"has no rank 3; its ranks are 0\.\.2"):
        group.mean(3, np.zeros(2))


def test_a_collective_waits_for_every_lost_rank_before_it_is_done_anew():
    lost = COMPUTE + 0.5 * T_AR
    losses = [timed(lost, workers=[1], away=0.5), timed(lost, workers=[2], away=2.0)]
    result = failing(losses)
    last = max(back for _, _, back, _ in outages(result))
    assert ends(result)[0] == pytest.approx(last + T_AR)


def test_workers_that_average_now_and_then_join_at_an_average():
    more = QUIET | {"stop": {"steps": 24}, "algorithm": {"kind": "local-sgd", "period": 4}}
    failures = {"on_loss": "shrink", "restart": 0.1, "losses": [timed(2.2, workers=[1])]}
    result = simulate(**more, failures=failures)
    ((_, lost, back, _),) = outages(result)
    average = [end for step, end in enumerate(ends(result)) if (step + 1) % 4 == 0]
    assert back == next(end for end in average if end > lost + 0.1)


def test_nobody_left_and_lost_again_for_ever_ends():
    """Without a checkpoint there is soon more to repeat than anybody lives."""
    more = QUIET | {
        "topology": QUIET["topology"] | {"hosts": 2},
        "workload": QUIET["workload"] | {"gradient": 1e3, "compute": 1.0},
        "stop": {"steps": 60},
    }
    losses = [{"kind": "random", "mtbf": 2.0}]
    result = failing(losses, on_loss="shrink", restart=0.01, more=more)
    assert result.summary["status"] == "stalled"
    assert "lost again before they have repeated" in result.warnings[0]
