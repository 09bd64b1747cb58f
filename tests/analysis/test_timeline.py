"""Timelines: what is under way beside the workers, and what the legend says."""

import pytest

from analysis.load import load
from analysis.plots import draw
from analysis.timeline import COLOURS, carriers, shown_until
from simulator.experiment.run import run
from simulator.experiment.store import save
from tests.make import scenario


def loaded(folder, **changes):
    """The run of a small scenario, read back."""
    save(run(scenario(**changes)), folder)
    (one,) = load([folder])
    return one


@pytest.mark.parametrize(
    ("kind", "rows"),
    [
        ("sync-sgd", ["world"]),
        ("async-ps", ["server0"]),
        ("d-psgd", ["message"]),
        ("lasgd", ["host0", "host1", "masters"]),
    ],
)
def test_servers_groups_and_messages_have_rows_of_their_own(tmp_path, kind, rows):
    one = loaded(tmp_path, algorithm={"kind": kind})
    assert sorted(carriers(one)) == rows
    (ax,) = draw("timeline", [one]).axes
    named = [label.get_text() for label in ax.get_yticklabels()]
    assert named[:4] == ["0", "1", "2", "3"]
    assert sorted(named[4:]) == rows
    table, drawn = one.table("messages"), ax.containers[-1].patches
    last = carriers(one)[named[-1]]
    assert len(last) == len(drawn)
    assert sum(map(len, carriers(one).values())) == (table["start_s"] < shown_until(one)).sum()
    assert [bar.get_x() for bar in drawn] == last["start_s"].tolist()


def test_every_kind_of_time_is_in_the_legend_whatever_the_first_panel_has(tmp_path):
    for kind in ("async-ps", "sync-sgd"):
        save(run(scenario(algorithm={"kind": kind})), tmp_path)
    (legend,) = draw("timeline", load([tmp_path])).legends
    assert [one.get_text() for one in legend.get_texts()] == list(COLOURS)


def test_the_title_counts_the_steps_that_are_there(tmp_path):
    (ax,) = draw("timeline", [loaded(tmp_path, stop={"steps": 4})]).axes
    assert ax.get_title(loc="left") == "sync-sgd, 4 workers: the first 4 steps"


def test_without_messages_there_are_workers_only(tmp_path):
    one = loaded(tmp_path, record={"messages": False})
    assert carriers(one) == {}
    (ax,) = draw("timeline", [one]).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["0", "1", "2", "3"]
