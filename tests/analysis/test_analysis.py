"""Analysis: reads folders only; pictures are the same bytes every time."""

import json
import shutil

import pytest

from analysis.errors import ResultError
from analysis.files import save_plots
from analysis.kinds import KINDS
from analysis.load import load
from analysis.metrics import answers, comparison, grouped
from analysis.plots import DRAW, draw, text
from simulator.experiment.run import run
from simulator.experiment.store import save
from tests.make import scenario

LOSS = {"restart": "0.2 s", "losses": [{"kind": "timed", "workers": 1, "at": "0.2 s"}]}


def save_runs(out, **changes):
    for kind in ("sync-sgd", "async-ps"):
        for seed in (0, 1):
            for hosts in (1, 2):
                save(
                    run(
                        scenario(
                            algorithm={"kind": kind},
                            seed=seed,
                            topology={"hosts": hosts},
                            stop={"steps": 20},
                            **changes,
                        )
                    ),
                    out,
                )
    return out


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return save_runs(
        tmp_path_factory.mktemp("out"),
        evaluate={"every": 64, "target_accuracy": 0.7},
        failures=LOSS,
    )


def test_runs_are_found_once_and_in_order(results):
    runs = load([results, results, next((results / "runs").iterdir())])
    assert [(*run.key, run.summary["seed"]) for run in runs] == [
        (kind, workers, seed)
        for kind in ("async-ps", "sync-sgd")
        for workers in (2, 4)
        for seed in (0, 1)
    ]
    assert set(runs[0].table("steps").columns) >= {"worker", "step", "loss"}
    assert runs[0].setting("topology.hosts") == 1


def test_comparison_takes_medians_over_seeds(results):
    runs = load([results])
    rows = comparison(runs)
    assert len(rows) == 4
    assert [row["workers"] for row in rows] == [2, 2, 4, 4]
    members = grouped(runs)["sync-sgd", 4]
    times = [run.summary["time_to_target_s"] for run in members]
    row = next(row for row in rows if (row["algorithm"], row["workers"]) == ("sync-sgd", 4))
    assert row["time_to_target_s"] == pytest.approx(sum(times) / 2)
    assert row["seeds"] == 2
    assert rows[0]["time_to_target_s"] <= rows[1]["time_to_target_s"]


def test_the_answer_comes_in_words():
    rows = [
        {"algorithm": "a", "workers": 4, "t": 2.0},
        {"algorithm": "b", "workers": 4, "t": 3.0},
        {"algorithm": "a", "workers": 8, "t": None},
        {"algorithm": "c", "workers": 16, "t": 1.0},
    ]
    assert answers(rows, "t") == [
        "4 workers: a is first with t = 2; b has 50% more.",
        "8 workers: no run has a t.",
        "16 workers: only c has a t, 1.",
    ]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_every_plot_twice_gives_the_same_bytes(results, kind, suffix, tmp_path):
    """E32."""
    runs = load([results])
    one, two = (save_plots(runs, [kind], [suffix], tmp_path / name)[0] for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    assert one.stat().st_size > 3000


def test_kinds_are_those_that_can_be_drawn():
    assert list(KINDS) == list(DRAW)


@pytest.mark.parametrize("kind", KINDS)
def test_plots_of_one_run_and_of_a_diverged_one(kind, tmp_path):
    """E29."""
    save(run(scenario(learning={"optimizer": {"lr": 1e30}}, failures=LOSS)), tmp_path)
    save_plots(load([tmp_path]), [kind], ["png"], tmp_path)


def test_curves_show_what_the_tables_say(results):
    runs = [run for run in load([results]) if run.key == ("sync-sgd", 4)][:1]
    figure = draw("loss", runs)
    line = figure.axes[0].lines[0]
    table = runs[0].table("evaluations")
    assert line.get_xdata().tolist() == table["time_s"].tolist()
    assert line.get_ydata().tolist() == table["test_loss"].tolist()
    assert figure.axes[0].get_xlabel() == "simulated time (s)"


def test_bars_are_the_breakdown_per_step(results):
    runs = [run for run in load([results]) if run.key == ("async-ps", 4)][:1]
    heights = [patch.get_height() for patch in draw("breakdown", runs).axes[0].patches]
    summary = runs[0].summary
    assert sum(heights) == pytest.approx(summary["simulated_time_s"] / summary["steps"])


def test_dollars_are_no_mathematics():
    assert text("a$x$") == r"a\$x\$"


def test_folders_without_results(tmp_path):
    with pytest.raises(ResultError, match="holds no results"):
        load([tmp_path])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("summary.json", "{", "cannot be read"),
        ("manifest.json", "[]", "not what paceline writes"),
        ("summary.json", json.dumps({"schema_version": 99}), "newer version"),
    ],
)
def test_damaged_folders_are_named(results, tmp_path, name, content, message):
    folder = tmp_path / "run"
    shutil.copytree(next((results / "runs").iterdir()), folder)
    (folder / name).write_text(content)
    with pytest.raises(ResultError, match=message):
        load([folder])


@pytest.mark.parametrize("cut", [10, 100])
def test_a_damaged_table_is_never_read(results, tmp_path, cut):
    """E18: half a table would be read silently from plain CSV."""
    folder = tmp_path / "run"
    shutil.copytree(next((results / "runs").iterdir()), folder)
    path = folder / "evaluations.csv.gz"
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(ResultError, match="is damaged"):
        load([folder])[0].table("evaluations")


def test_a_table_that_was_not_recorded(tmp_path):
    folder = save(run(scenario(record={"spans": False})), tmp_path)
    with pytest.raises(ResultError, match="has no table 'spans'"):
        load([folder])[0].table("spans")


def test_only_like_is_put_together(tmp_path):
    """Runs that differ in more than their seed are candidates of their own."""
    for seed in (0, 1):
        for period in (2, 4):
            save(
                run(scenario(algorithm={"kind": "local-sgd", "period": period}, seed=seed)),
                tmp_path,
            )
        save(run(scenario(algorithm={"kind": "sync-sgd"}, seed=seed)), tmp_path)
    rows = comparison(load([tmp_path]), metric="simulated_time_s")
    assert {(row["algorithm"], row["seeds"]) for row in rows} == {
        ("local-sgd, algorithm.period=2", 2),
        ("local-sgd, algorithm.period=4", 2),
        ("sync-sgd", 2),
    }
    by_period = comparison(load([tmp_path]), "topology.hosts", "simulated_time_s")
    assert {row["topology.hosts"] for row in by_period} == {
        "2, algorithm.kind=local-sgd, algorithm.period=2",
        "2, algorithm.kind=local-sgd, algorithm.period=4",
        "2, algorithm.kind=sync-sgd",
    }


def test_long_names_are_shortened_and_numbers_rounded(tmp_path):
    for bandwidth in (1e9, 2.5e9):
        topology = {"host_link": {"bandwidth": bandwidth, "latency": "20 us"}}
        save(run(scenario(topology=topology)), tmp_path)
    rows = comparison(load([tmp_path]), metric="simulated_time_s")
    assert {row["algorithm"] for row in rows} == {
        "sync-sgd, host_link.bandwidth=1G",
        "sync-sgd, host_link.bandwidth=2.5G",
    }


def test_pictures_leave_nobody_out(tmp_path):
    """Every timeline is whole, and who missed the target is named."""
    for kind, lr in (("sync-sgd", 1e-6), ("async-ps", 0.2)):
        save(
            run(
                scenario(
                    algorithm={"kind": kind},
                    learning={"optimizer": {"lr": lr}},
                    evaluate={"every": 32, "target_accuracy": 0.8},
                    stop={"steps": 12 if kind == "sync-sgd" else 60},
                )
            ),
            tmp_path,
        )
    runs = load([tmp_path])
    until = max(
        steps.loc[steps["step"] < 6, "end_s"].max() for steps in (r.table("steps") for r in runs)
    )
    axes = draw("timeline", runs).axes
    assert all(ax.get_xlim()[1] >= until - 1e-9 for ax in axes)
    assert "not always reached: sync-sgd" in draw("target", runs).axes[0].get_title(loc="left")
