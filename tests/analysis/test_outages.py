"""The picture of outages says what the table says."""

import pytest

from analysis.errors import ResultError
from analysis.kinds import KINDS
from analysis.load import drawable, load
from analysis.plots import draw
from simulator.experiment.run import run
from simulator.experiment.store import save
from tests.make import scenario


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    losses = [
        {"kind": "timed", "workers": 1, "at": 0.2},
        {"kind": "timed", "workers": 2, "at": 0.5, "away": 100.0},
    ]
    failures = {"restart": 0.2, "checkpoint": None, "losses": losses}
    for kind in ("sync-sgd", "async-ps"):
        save(run(scenario(algorithm={"kind": kind}, failures=failures)), out)
    return out


def bars(ax, name):
    """(worker, begin, end) of the bars called *name*."""
    container = next(one for one in ax.containers if one.get_label() == name)
    return [
        (round(bar.get_y() + bar.get_height() / 2), bar.get_x(), bar.get_x() + bar.get_width())
        for bar in container
    ]


def test_bars_are_the_rows_of_the_table(results):
    runs = {one.key[0]: one for one in load([results])}
    figure = draw("outages", list(runs.values()))
    for ax, one in zip(figure.axes, (runs["async-ps"], runs["sync-sgd"]), strict=True):
        end = one.summary["simulated_time_s"]
        table = one.table("outages").fillna(end)
        assert bars(ax, "present") == [(worker, 0.0, end) for worker in range(4)]
        away = list(zip(table["worker"], table["lost_s"], table["back_s"], strict=True))
        assert bars(ax, "away") == [(w, a, pytest.approx(min(b, end))) for w, a, b in away]
        redone = list(zip(table["worker"], table["back_s"], table["redone_s"], strict=True))
        assert bars(ax, "repeating lost steps") == [
            (w, pytest.approx(b - r), pytest.approx(b)) for w, b, r in redone
        ]
        assert ax.get_title(loc="left").endswith("4 workers: 2 losses")


def test_one_who_never_comes_back_is_away_until_the_end(results):
    one = next(run for run in load([results]) if run.key[0] == "async-ps")
    assert one.table("outages")["back_s"].isna().tolist() == [False, True]


def test_only_what_was_recorded_is_drawn(results, tmp_path):
    assert drawable(load([results])) == list(KINDS)
    save(run(scenario(record={"spans": False})), tmp_path)
    without = load([tmp_path])
    assert set(KINDS) - set(drawable(without)) == {"timeline", "outages"}
    with pytest.raises(ResultError, match="no run has a table 'outages'"):
        draw("outages", without)
    assert "outages" in drawable([*without, *load([results])])


def test_costs_are_compared_where_prices_are_given(tmp_path):
    """GPU hours x price, and processes beside the workers; waiting costs as well."""
    from analysis.metrics import comparison

    prices = {"device_hour": 3.0, "process_hour": 0.5}
    for kind, processes in (("layered-sgd", 2), ("async-ps", 1), ("sync-sgd", 0)):
        result = run(scenario(algorithm={"kind": kind}, prices=prices))
        save(result, tmp_path)
        hours = result.summary["simulated_time_s"] / 3600
        assert result.summary["device_hours"] == pytest.approx(4 * hours)
        assert result.summary["extra_processes"] == processes
        assert result.summary["cost"] == pytest.approx(hours * (4 * 3.0 + processes * 0.5))
    rows = comparison(load([tmp_path]), metric="cost")
    assert [row["cost"] for row in rows] == sorted(row["cost"] for row in rows)
    save(run(scenario()), tmp_path / "free")
    assert "cost" not in comparison(load([tmp_path / "free"]), metric="simulated_time_s")[0]
