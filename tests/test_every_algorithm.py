"""Conformance: what every registered algorithm must do.  New ones are tested unedited."""

import numpy as np
import pytest

import scenarios
from simulator.algorithms import ALGORITHMS
from simulator.engine import Streams
from simulator.experiment.document import read
from simulator.experiment.loading import Override, apply_overrides, check, load
from simulator.experiment.run import build, run
from simulator.experiment.store import table_text
from simulator.learning import minibatches
from tests.make import played, scenario, simulate

EVERY = pytest.mark.parametrize("kind", sorted(ALGORITHMS))
LOCK_STEP = pytest.mark.parametrize(
    "kind", sorted(kind for kind, cls in ALGORITHMS.items() if cls.needs.lock_step)
)
ALONE_IS_SGD = ("sync-sgd", "layered-sgd", "local-sgd", "dc-s3gd", "async-ps")  # T5

LOADING = {"kind": "local-disk", "latency": {"kind": "gamma", "mean": "20 ms", "cv": 0.5}}


def texts(result):
    return {name: table_text(columns) for name, columns in result.tables.items()}


@EVERY
def test_same_scenario_same_tables(kind):
    """T1."""
    one, two = (simulate(algorithm={"kind": kind}, storage=LOADING) for _ in range(2))
    assert texts(one) == texts(two)
    assert one.summary == two.summary


@EVERY
def test_every_fidelity_keeps_the_books(kind):
    """Spans add up, links carry no more than they can, and lock step learns the same anywhere."""
    losses = {}
    for fidelity in ("flow", "message", "alpha-beta"):
        result = simulate(algorithm={"kind": kind}, storage=LOADING, network={"fidelity": fidelity})
        summary, links = result.summary, result.tables["links"]
        assert summary["status"] == "completed"
        assert sum(summary["breakdown"].values()) == pytest.approx(summary["simulated_time_s"])
        assert links["utilisation"].max() <= 1 + 1e-9
        assert (links["busy_s"] <= summary["simulated_time_s"] * (1 + 1e-9)).all()
        history = result.tables["link_history"]
        assert sum(history["nbytes"]) == pytest.approx(sum(links["nbytes"]))
        losses[fidelity] = summary["final_loss"], summary["bytes_sent"]
    needs = ALGORITHMS[kind].needs
    if needs.lock_step and not needs.timed:
        assert losses["message"][0] == losses["flow"][0] == losses["alpha-beta"][0]
        assert losses["message"][1] == pytest.approx(losses["flow"][1])
        assert losses["alpha-beta"][1] == pytest.approx(losses["flow"][1])


@EVERY
@pytest.mark.parametrize("limit", [1, 3, 64])
def test_stacking_changes_nothing(kind, limit):
    one, two = (played(algorithm={"kind": kind}, stack_limit=n) for n in (limit, 2))
    assert one.env.now == two.env.now
    for a, b in zip(one.evaluated(), two.evaluated(), strict=True):
        np.testing.assert_array_equal(a[0], b[0])


@pytest.mark.parametrize("kind", ALONE_IS_SGD)
def test_alone_it_is_plain_sgd(kind):
    """T5: with one worker, parameters after every step are those of a loop written here."""
    learning = {"dtype": "float64", "optimizer": {"weight_decay": 0.01}}
    if "momentum" in ALGORITHMS[kind].needs.optimizer:
        learning["optimizer"]["momentum"] = 0.9
    changes = {
        "topology": {"hosts": 1, "gpus_per_host": 1},
        "learning": learning,
        "algorithm": {"kind": kind},
    }
    cluster = played(**changes)
    job = cluster.job
    fresh = minibatches(cluster.shards[0], 8, Streams(0).get("data", 0))
    w, v = job.start.copy(), np.zeros_like(job.start)
    for _ in range(12):
        batch, _ = next(fresh)
        _, grad = job.model.gradients(w[None], job.data.x[batch][None], job.data.y[batch][None])
        v = learning["optimizer"].get("momentum", 0.0) * v + grad[0] + 0.01 * w
        w = w - 0.05 * v
    np.testing.assert_allclose(cluster.evaluated()[0][0], w, atol=1e-12)


@EVERY
def test_it_learns(kind):
    table = simulate(algorithm={"kind": kind}, stop={"steps": 60}).tables["evaluations"]
    assert table["test_loss"][-1] < 0.7 * table["test_loss"][0]


@EVERY
def test_the_breakdown_is_all_of_the_time(kind):
    """Spans of one worker lie side by side and fill the run; their sums are the breakdown."""
    result = simulate(algorithm={"kind": kind}, storage=LOADING)
    spans = result.tables["spans"]
    end, totals = (
        result.summary["simulated_time_s"],
        dict.fromkeys(result.summary["breakdown"], 0.0),
    )
    main = np.array([lane == "worker" for lane in spans["lane"]])
    for worker in range(4):
        own = np.flatnonzero(main & (spans["worker"] == worker))
        starts, ends = spans["start_s"][own], spans["end_s"][own]
        assert starts[0] == 0
        np.testing.assert_array_equal(starts[1:], ends[:-1])
        assert ends[-1] == pytest.approx(end, rel=1e-12)
        for row, seconds in zip(own, ends - starts, strict=True):
            totals[f"{spans['kind'][row]}_s"] += seconds / 4
    assert totals == pytest.approx(result.summary["breakdown"])
    assert sum(totals.values()) == pytest.approx(end)


@EVERY
def test_a_run_cut_in_mid_air_is_cut_cleanly(kind):
    """`stop.time` ends the run at that instant: open steps do not count, spans are cut."""
    result = simulate(
        algorithm={"kind": kind}, stop={"steps": 12, "time": "0.33 s"}, storage=LOADING
    )
    assert result.summary["simulated_time_s"] == 0.33
    assert sum(result.summary["breakdown"].values()) == pytest.approx(0.33)
    for table in ("steps", "spans", "messages"):
        assert max(result.tables[table]["end_s"], default=0) <= 0.33
    assert result.summary["samples"] == 8 * len(result.tables["steps"]["end_s"]) < 12 * 4 * 8


@LOCK_STEP
def test_more_bandwidth_is_never_slower(kind):
    times = [
        simulate(
            algorithm={"kind": kind},
            workload={"noise": "none"},
            topology={"host_link": {"bandwidth": f"{rate} Gbit/s"}},
        ).summary["simulated_time_s"]
        for rate in (1, 3, 10, 100)
    ]
    assert times == sorted(times, reverse=True)


@EVERY
def test_bytes_sent_are_the_messages(kind):
    result = simulate(algorithm={"kind": kind})
    assert result.summary["bytes_sent"] == pytest.approx(sum(result.tables["messages"]["nbytes"]))
    links = result.tables["links"]
    assert (links["utilisation"] <= 1 + 1e-9).all()


@EVERY
def test_all_work_is_done(kind):
    """Every worker-step is counted once, whoever did it."""
    result = simulate(algorithm={"kind": kind})
    assert result.summary["status"] == "completed"
    assert result.summary["steps"] == 12
    assert result.summary["samples"] == 12 * 4 * 8 == 8 * len(result.tables["steps"]["step"])


@EVERY
@pytest.mark.parametrize("hosts", [1, 3])
def test_any_number_of_workers(kind, hosts):
    result = simulate(algorithm={"kind": kind}, topology={"hosts": hosts, "gpus_per_host": 1})
    assert result.summary["status"] == "completed"
    assert result.summary["workers"] == hosts


def swapped(kind, name):
    """The shipped scenario *name* with two steps of another algorithm."""
    document = read(scenarios.path(name))
    apply_overrides(
        document, [Override("algorithm.kind", kind, "-S"), Override("stop", {"steps": 2}, "-S")]
    )
    return check(document)


@EVERY
def test_it_swaps_into_a_shipped_scenario(kind):
    assert swapped(kind, "quickstart").stop.steps == 2


@pytest.mark.slow
@EVERY
@pytest.mark.parametrize("name", scenarios.names())
def test_it_swaps_into_every_shipped_scenario(kind, name):
    assert run(swapped(kind, name)).summary["status"] == "completed"


@EVERY
def test_it_reaches_the_quickstart_target(kind):
    assert run(load("quickstart", [f"algorithm.kind={kind}"])).summary["final_accuracy"] >= 0.8


@EVERY
@pytest.mark.parametrize("hosts", [1, 3])
def test_the_quickstart_runs_on_other_numbers_of_hosts(kind, hosts):
    """`--nodes 1` and `--nodes 3`: defaults fit any number of workers."""
    made = load(
        "quickstart", [f"algorithm.kind={kind}", f"topology.hosts={hosts}", "stop.steps=20"]
    )
    result = run(made)
    assert result.summary["status"] == "completed"
    assert result.summary["workers"] == 4 * hosts
    assert np.isfinite(result.summary["final_loss"])


@EVERY
@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])
def test_few_scheduled_events_a_step(kind, fidelity):
    """Without storage; two and what messages cost, a collective in which all leave together one.

    A reduce and a broadcast end at another time for every rank.  Where links are shared a
    transfer costs one event when it begins and one when it is over, and an earlier wake-up
    may be overtaken (decision 8).
    """
    # Beside messages: an event for every bucket that is full, for every computation beside the
    # gradient, for waiting one's turn.
    special = {
        "layered-sgd": 4,
        "ddp": 3,
        "gs-sgd": 4,
        "powersgd": 4,
        "ad-psgd": 4,
        "lasgd": 4,
        "sketched-sgd": 4,
    }
    made = scenario(
        algorithm={"kind": kind},
        topology={"hosts": 4, "gpus_per_host": 4},
        network={"fidelity": fidelity},
        learning={"dataset": "digits"},
        stop={"steps": 20},
    )
    cluster, _ = build(made)
    before = next(cluster.env._eid)
    cluster.run(list(made.algorithm.processes(cluster)))
    per_run = 2 * 16 + 8  # starts and ends of processes, evaluations
    messages = len(cluster.trace.messages.columns()["kind"])
    for_messages = {"alpha-beta": 1, "flow": 3}[fidelity] * messages
    allowed = special.get(kind, 2) * 16 * 20 + for_messages + per_run
    assert next(cluster.env._eid) - before <= allowed


@EVERY
def test_divergence_is_a_result(kind):
    """E19: a rate far too large ends in status diverged, with the first bad step."""
    result = simulate(
        algorithm={"kind": kind},
        stop={"steps": 200},
        learning={
            "model": {"kind": "least-squares"},
            "dataset": "regression",
            "optimizer": {"lr": 1e30},
        },
    )
    assert result.summary["status"] == "diverged"
    assert result.summary["final_loss"] is None
    assert result.details["diverged"]["step"] >= 0
    assert "diverged" in result.warnings[-1]


@EVERY
def test_an_in_place_change_raises(kind):
    """Parameters and gradients are values; no algorithm hands out a writable one."""
    cluster = played(algorithm={"kind": kind})
    with pytest.raises(ValueError, match="read-only"):
        cluster.evaluated()[0][0][0] = 1.0
