"""The command line: what is printed where, exit codes, and errors that help."""

import json
import subprocess
import sys

import pytest

from simulator.algorithms import ALGORITHMS

FAST = ("-S", "stop.steps=4")


def test_run_prints_one_json_document(paceline):
    code, out, err = paceline("run", "quickstart", *FAST, "--json")
    document = json.loads(out)
    assert (code, err) == (0, "")
    assert {"config_hash", "run_dir", "wall_s", "breakdown"} <= set(document)
    again = json.loads(paceline("run", "quickstart", *FAST, "--json", "-o", "other")[1])
    assert again["config_hash"] == document["config_hash"]
    assert again["run_dir"] != document["run_dir"]


def test_run_for_people(paceline):
    code, out, err = paceline("run", "quickstart", *FAST)
    assert code == 0
    assert "sync-sgd, 8 workers on 2 hosts: completed" in out
    assert "results: out/runs/sync-sgd-n8-" in out
    assert err == ""
    assert "already run" in paceline("run", "quickstart", *FAST)[2]


def test_quiet_is_quiet(paceline):
    assert paceline("sweep", "quickstart", *FAST, "--seeds", 2, "-q")[2] == ""


def test_swapping_names_what_is_dropped(paceline, tmp_path):
    (tmp_path / "x.yaml").write_text("algorithm: {kind: local-sgd, period: 3}\nstop: {steps: 2}")
    code, _, err = paceline("run", "x.yaml", "-S", "algorithm.kind=sync-sgd")
    assert code == 0
    assert "dropped period" in err


MISTAKES = (
    "seed: -1\nnme: x\ntopology: {kind: rong}\nstop: {time: 5 GB}\nlearning: {batch_size: 0}\n"
)


def test_five_mistakes_five_messages_exit_2_and_no_folder(paceline, tmp_path):
    (tmp_path / "bad.yaml").write_text(MISTAKES)
    for command in (
        ("run",),
        ("validate",),
        ("sweep", "--grid", "algorithm.kind=sync-sgd,async-ps"),
    ):
        code, out, err = paceline(*command, "bad.yaml")
        assert (code, out) == (2, "")
        assert [line.split(": ")[:2] for line in err.splitlines()] == [
            ["bad.yaml:1:1", "seed"],
            ["bad.yaml:2:1", "nme"],
            ["bad.yaml:3:12", "topology"],
            ["bad.yaml:4:8", "stop.time"],
            ["bad.yaml:5:12", "learning.batch_size"],
        ]
    assert [path.name for path in tmp_path.iterdir()] == ["bad.yaml"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "nowhere.yaml"], "cannot be read"),
        (["run", "x" * 5000], "no such file or shipped scenario"),
        (["run", "a\x00b.yaml"], "cannot be read"),
        (["run", "a\x1b[31m.yaml"], "a\\x1b[31m.yaml: cannot be read"),
        (["run", "quickstrt"], "did you mean 'quickstart'"),
        (["run", "quickstart", "--sed", "1"], "No such option"),
        (["run"], "Missing argument"),
        (["run", "quickstart", "-S", "nonsense"], "expected path=value"),
        (["run", "quickstart", "--nodes", "0"], "0 is not in the range"),
        (["run", "quickstart", "-S", "topology.hosts=[1"], "-S topology.hosts=[1"),
        (["sweep", "quickstart", "--grid", "algorithm.kind"], "expected path=value,value"),
        (
            ["sweep", "quickstart", "--grid", "algorithm.kind=sync-sgd,sinc-sgd"],
            "did you mean 'sync-sgd'",
        ),
        (
            ["sweep", "quickstart", "--nodes", "2,x"],
            "topology.hosts: expected a whole number, not 'x'",
        ),
        (["compare", "nothing"], "nothing holds no results"),
        (["plot", "nothing"], "nothing holds no results"),
        (["list", "algoritms"], "algorithms"),
        (["init", "x.yaml", "--template", "quickstrt"], "did you mean"),
        (["frobnicate"], "No such command"),
        (
            ["run", "quickstart", "-S", "algorithm.kind=x"],
            "-S algorithm.kind=x: algorithm: no kind",
        ),
        (["sweep", "quickstart", "--nodes", "2", "--grid", "topology.hosts=4"], "is varied twice"),
        (["sweep", "quickstart", "--seeds", "2", "--grid", "seed=4"], "seed: is varied twice"),
        (["sweep", "quickstart", "--grid", "seed=1,,2"], "--grid seed=1,,2:1:4: expected"),
        (
            ["run", "quickstart", "-S", "learning.batch_size=100000"],
            "has only 1,438 training samples",
        ),
        (["run", "quickstart", "-S", "stop.steps=1000000000000"], "8,000,000,000,000 worker-steps"),
        (["init", "x.txt"], "should end in .yaml"),
    ],
)
def test_mistakes_exit_with_2_and_say_what_would_be_right(paceline, tmp_path, arguments, message):
    code, out, err = paceline(*arguments)
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_internal_error_points_to_its_log(paceline, monkeypatch):
    monkeypatch.setattr("simulator.experiment.measure.run", lambda scenario: 1 / 0)
    code, _, err = paceline("run", "quickstart", *FAST)
    assert code == 1
    assert "ZeroDivisionError" in err
    log = err.split()[-1]
    with open(log) as stream:
        assert "Traceback" in stream.read()


def test_ctrl_c_exits_with_130(paceline, monkeypatch):
    def interrupt(scenario):
        raise KeyboardInterrupt

    monkeypatch.setattr("simulator.experiment.measure.run", interrupt)
    assert paceline("run", "quickstart", *FAST)[0] == 130


def test_a_failed_run_of_a_sweep_exits_with_3(paceline, monkeypatch):
    monkeypatch.setattr("simulator.experiment.measure.run", lambda scenario: 1 / 0)
    code, _, err = paceline("sweep", "quickstart", *FAST)
    assert code == 3
    assert "1 failed" in err


def test_sweep_compare_plot(paceline, tmp_path):
    code, out, _ = paceline(
        "sweep",
        "quickstart",
        "-S",
        "stop.steps=60",
        "--nodes",
        "1,2",
        "--seeds",
        2,
        "--grid",
        "algorithm.kind=sync-sgd,async-ps",
        "-o",
        "res",
    )
    assert code == 0
    assert out.count("completed") == 8
    assert {"sweep.yaml", "index.csv", "runs"} == {
        path.name for path in (tmp_path / "res").iterdir()
    }
    code, out, _ = paceline("compare", "res", "-o", "cmp")
    assert code == 0
    assert "8 workers: async-ps is first with time_to_target_s" in out
    names = {path.name for path in (tmp_path / "cmp").iterdir()}
    assert names == {
        "comparison.md",
        "loss.png",
        "accuracy.png",
        "target.png",
        "breakdown.png",
        "timeline.png",
        "links.png",
        "link-history.png",
    }
    rows = json.loads(paceline("compare", "res", "--json")[1])
    assert [(row["algorithm"], row["workers"], row["seeds"]) for row in rows][:2] == [
        ("async-ps", 4, 2),
        ("sync-sgd", 4, 2),
    ]
    rows = json.loads(
        paceline(
            "compare", "res", "--json", "--by", "topology.hosts", "--metric", "simulated_time_s"
        )[1]
    )
    assert {row["topology.hosts"] for row in rows} == {
        f"{hosts}, algorithm.kind={kind}" for hosts in (1, 2) for kind in ("sync-sgd", "async-ps")
    }
    assert paceline("compare", "res", "--metric", "sped")[0] == 2
    assert paceline("compare", "res", "--by", "algorithm.knd")[0] == 2
    code, out, _ = paceline("plot", "res", "--kind", "loss", "--format", "svg,pdf", "-o", "p")
    assert (code, out.split()) == (0, ["p/loss.svg", "p/loss.pdf"])
    assert paceline("plot", "res", "--kind", "pie")[0] == 2
    assert paceline("plot", "res", "--format", "gif")[0] == 2


def test_validate_init_schema_and_lists(paceline, tmp_path):
    assert (
        paceline("validate", "quickstart")[1]
        == "quickstart: ok, 8 workers on 2 hosts, 1,600 worker-steps\n"
    )
    assert paceline("init")[0] == 0
    assert paceline("validate", "scenario.yaml")[0] == 0
    assert paceline("init")[0] == 2
    assert paceline("init", "--force")[0] == 0
    schema = json.loads(paceline("schema")[1])
    assert schema["properties"]["algorithm"]
    listed = json.loads(paceline("list", "algorithms", "--json")[1])
    assert [row["name"] for row in listed] == sorted(ALGORITHMS)
    assert set(listed[0]) == {"name", "summary", "paper", "specification", "needs"}
    for kind in ("topologies", "stragglers", "datasets", "models", "plots", "scenarios", "noises"):
        code, out, _ = paceline("list", kind)
        assert code == 0
        assert len(out.splitlines()) > 2


def test_names_with_control_characters_are_shown_escaped(paceline, tmp_path):
    """S14."""
    (tmp_path / "x.yaml").write_text('"na\\e[31mme [red]": 1\n')
    _, _, err = paceline("run", "x.yaml")
    assert "\x1b" not in err
    assert "[red]" in err


def test_a_diverged_run_is_a_result(paceline):
    code, out, err = paceline("run", "quickstart", "-S", "learning.optimizer.lr=1e30", "--json")
    document = json.loads(out)
    assert (code, document["status"], document["final_loss"]) == (0, "diverged", None)
    assert "diverged: the loss is no number from step" in err


def fresh(code, **environment):
    import os

    return subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, **environment},
    ).stdout


HEAVY = ("pandas", "matplotlib", "sklearn", "scipy", "numba", "networkx")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["validate", "quickstart"], ["list", "algorithms"]]
)
def test_nothing_heavy_is_imported_for_a_small_command(arguments):
    """E23: the CPU time itself is a benchmark."""
    loaded = (
        fresh(
            "import sys\nfrom simulator.cli import call\n"
            f"call({arguments!r})\nprint()\nprint(*sys.modules)"
        )
        .splitlines()[-1]
        .split()
    )
    assert not set(HEAVY) & set(loaded)
    if "--help" in arguments:
        assert not {"numpy", "pydantic", "simpy", "ruamel"} & set(loaded)


def test_a_closed_pipe_is_no_error():
    """E24: `paceline schema | head -1` ends without a traceback."""
    done = subprocess.run(
        f"{sys.executable} -m simulator schema | head -c 10",
        shell=True,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""


def test_a_folder_that_cannot_be_one_is_refused_before_any_work(paceline, tmp_path):
    (tmp_path / "file").write_text("in the way")
    for command in ("run", "sweep"):
        code, out, err = paceline(command, "quickstart", *FAST, "-o", "file")
        assert (code, out) == (2, "")
        assert "is no folder; choose another with --out" in err


def test_a_new_topology_keeps_the_settings_it_has_too(paceline):
    """An algorithm begins with its own defaults; a cluster keeps its size."""
    code, out, err = paceline("run", "quickstart", *FAST, "-S", "topology.kind=two-level", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["workers"] == 8


def test_more_can_be_better(paceline):
    paceline(
        "sweep",
        "quickstart",
        "-S",
        "stop.steps=60",
        "--grid",
        "algorithm.kind=sync-sgd,async-ps",
        "-o",
        "res",
    )
    rows = json.loads(paceline("compare", "res", "--json", "--metric", "final_accuracy")[1])
    assert rows[0]["final_accuracy"] >= rows[1]["final_accuracy"]
    assert paceline("compare", "res", "--metric", "idle_s")[0] == 0
    for metric in ("breakdown", "status", "seed"):
        assert paceline("compare", "res", "--metric", metric)[0] == 2
