"""A worker that is lost in the middle of something beside its gradient does it anew."""

import pytest

from tests.make import simulate

AWAY = 0.3
QUIET = {
    "topology": {"hosts": 2, "gpus_per_host": 0},
    "workload": {"compute": 0.05, "noise": "none", "gradient": "10 MB"},
    "stop": {"steps": 3},
}


def lost(at, **changes):
    """How much later a run ends in which worker 1 is lost at *at* s, and its result."""
    loss = {"kind": "timed", "at": at, "workers": [1]}
    there = simulate(**QUIET, **changes)
    away = simulate(**QUIET, **changes, failures={"restart": AWAY, "losses": [loss]})
    assert away.summary["status"] == "completed"
    for result in (there, away):
        parts, whole = result.summary["breakdown"], result.summary["simulated_time_s"]
        assert sum(parts.values()) == pytest.approx(whole, rel=1e-12)
    return away.summary["simulated_time_s"] - there.summary["simulated_time_s"], away


@pytest.mark.parametrize("at", [0.051, 0.07, 0.089])
@pytest.mark.parametrize("kind", ["topk-sgd", "gtopk-sgd", "gs-sgd", "sketched-sgd"])
def test_a_selection_begins_anew(kind, at):
    """Compute until 0.05 s, then 40 ms of selecting or sketching: all of it is repeated."""
    cost = 0.04 / 2.5e6
    costs = {
        "topk-sgd": {"select_cost": cost},
        "gtopk-sgd": {"select_cost": cost, "k": 1},
        "gs-sgd": {"sketch_cost": cost, "rows": 1, "select_cost": 0},
        "sketched-sgd": {"sketch_cost": cost, "rows": 1, "select_cost": 0},
    }
    later, _ = lost(at, algorithm={"kind": kind} | costs[kind])
    # Work since the start is redone.  At a server the two sketches meet no more.
    apart = 0.4 * 10e6 * 8 / 10e9 if kind == "sketched-sgd" else 1e-9
    assert later == pytest.approx(at + AWAY + at - 0.05, abs=apart)


@pytest.mark.parametrize("at", [0.03, 0.04, 0.049])
def test_buckets_that_are_not_full_are_filled_anew(at):
    """Those that are full stay so, and their all-reduces are over meanwhile."""
    later, result = lost(at, algorithm={"kind": "ddp", "bucket": "1 MB", "first_bucket": "1 MB"})
    messages = result.tables["messages"]
    before = sum(end < at for end in messages["end_s"])
    assert before > 0
    assert len(messages["end_s"]) % 3 <= 1  # none twice but what was under way
    assert later == pytest.approx(at + AWAY + at, rel=1e-9)
