"""Result folders: whole or not at all, the same bytes every time, never outside `--out`."""

import gzip
import json
from pathlib import Path

import pytest

from simulator.errors import StoreError
from simulator.experiment.document import Document
from simulator.experiment.run import run
from simulator.experiment.store import finished, run_folder, save, table_text
from simulator.experiment.sweep import Sweep, axis, execute, write_index, write_sweep
from tests.make import SMALL, merged, scenario

KEYS = [
    "schema_version",
    "status",
    "algorithm",
    "workers",
    "hosts",
    "seed",
    "simulated_time_s",
    "steps",
    "samples",
    "samples_applied",
    "samples_per_s",
    "final_loss",
    "final_accuracy",
    "target_accuracy",
    "time_to_target_s",
    "bytes_sent",
    "mean_staleness",
    "max_staleness",
    "breakdown",
    "scaling_efficiency",
    "device_hours",
    "extra_processes",
    "cost",
]
HEADERS = {
    "steps": "worker,step,start_s,end_s,loss,staleness",
    "spans": "worker,lane,kind,start_s,end_s",
    "messages": "source,target,kind,nbytes,start_s,end_s",
    "links": "source,target,nbytes,busy_s,utilisation",
    "link_history": "source,target,start_s,end_s,nbytes",
    "evaluations": "time_s,samples,step,train_loss,test_loss,test_accuracy",
}


@pytest.fixture(scope="module")
def result():
    return run(scenario())


def files(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_a_folder_has_what_the_design_says(result, tmp_path):
    folder = save(result, tmp_path, trace=True)
    assert folder.parent == tmp_path / "runs"
    assert folder.name == f"sync-sgd-n4-{result.scenario.config_hash()[:10]}"
    summary = json.loads((folder / "summary.json").read_text())
    assert list(summary) == KEYS
    assert list(summary["breakdown"]) == ["compute_s", "io_s", "communication_s", "idle_s"]
    for name, header in HEADERS.items():
        assert (
            gzip.decompress((folder / f"{name}.csv.gz").read_bytes()).decode().splitlines()[0]
            == header
        )
    manifest = json.loads((folder / "manifest.json").read_text())
    assert set(manifest["outputs"]) == set(files(folder)) - {"manifest.json"}
    assert len(list((folder / "trace").iterdir())) == 4
    assert (
        "two-level" in manifest["all_reduce"]["world"] or "ring" in manifest["all_reduce"]["world"]
    )


def test_same_bytes_in_another_folder(result, tmp_path):
    one = save(result, tmp_path / "a", volatile={"wall_s": 1.0})
    two = save(run(scenario()), tmp_path / "b", volatile={"wall_s": 2.0})
    first, second = files(one), files(two)
    manifests = [json.loads(part.pop("manifest.json")) for part in (first, second)]
    assert first == second
    for manifest in manifests:
        manifest.pop("volatile")
    assert manifests[0] == manifests[1]


def test_a_finished_run_is_found_until_it_is_damaged_or_more_is_wanted(result, tmp_path):
    assert finished(tmp_path, result.scenario) is None
    folder = save(result, tmp_path)
    assert finished(tmp_path, result.scenario) == folder
    assert finished(tmp_path, result.scenario, trace=True) is None
    assert finished(tmp_path, scenario(seed=1)) is None
    for name in files(folder):
        if name != "manifest.json":
            whole = (folder / name).read_bytes()
            (folder / name).write_bytes(whole[:-1])
            assert finished(tmp_path, result.scenario) is None
            (folder / name).write_bytes(whole)
    (folder / "manifest.json").write_text("{")
    assert finished(tmp_path, result.scenario) is None
    save(result, tmp_path)  # replaces what is damaged
    assert finished(tmp_path, result.scenario) == folder


def test_nothing_half_written_is_left(result, tmp_path, monkeypatch):
    from simulator.experiment import store

    original = store._write

    def fail(path, content):
        if path.name == "steps.csv.gz":
            raise OSError(28, "No space left on device", str(path))
        original(path, content)

    monkeypatch.setattr(store, "_write", fail)
    with pytest.raises(StoreError, match="No space left on device"):
        save(result, tmp_path)
    assert list((tmp_path / "runs").iterdir()) == []


def test_what_a_dead_process_left_is_removed(result, tmp_path):
    import socket

    left = tmp_path / "runs" / f".tmp-{socket.gethostname()}-999999999-x"
    left.mkdir(parents=True)
    save(result, tmp_path)
    assert [path.name for path in (tmp_path / "runs").iterdir()] == [
        run_folder(tmp_path, result.scenario).name
    ]


def test_a_file_in_the_way_is_named(result, tmp_path):
    (tmp_path / "runs").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written"):
        save(result, tmp_path)


@pytest.mark.parametrize("name", ["../../x", "/etc/passwd", "CON", "a\nb", "=cmd()", "x" * 300])
def test_names_never_become_paths(tmp_path, name):
    """S07."""
    out = tmp_path / "deep" / "out"
    save(run(scenario(name=name, stop={"steps": 1})), out)
    inside = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert all(path.is_relative_to(out / "runs") for path in inside)


def test_recording_can_be_switched_off_and_thinned():
    bare = run(scenario(record={"spans": False, "messages": False}))
    assert set(bare.tables) == {"steps", "links", "link_history", "evaluations"}
    full, thin = run(scenario()), run(scenario(record={"every": 2}))
    assert set(thin.tables["spans"]["worker"].tolist()) == {0, 2}
    assert len(thin.tables["messages"]["kind"]) == len(full.tables["messages"]["kind"]) / 2
    assert thin.summary == full.summary == bare.summary


def test_tables_are_exact_and_safe_in_spreadsheets():
    import numpy as np

    text = table_text(
        {"name": ["=1+1", "plain"], "x": np.array([0.1, np.nan]), "n": np.array([1, 2])}
    )
    assert text == "name,x,n\n'=1+1,0.1,1\nplain,,2\n"


def sweep(**axes):
    data = merged(SMALL, {"stop": {"steps": 2}})
    return Sweep(Document(data, "t", Path()), axes=axes, seeds=2)


def test_a_sweep_is_every_combination_and_resumes(tmp_path):
    plan = sweep(**{"topology.hosts": [1, 2], "algorithm.kind": ["sync-sgd", "async-ps"]})
    made = plan.scenarios()
    assert [(s.topology.hosts, s.algorithm.kind, s.seed) for s in made] == [
        (hosts, kind, seed)
        for hosts in (1, 2)
        for kind in ("sync-sgd", "async-ps")
        for seed in (0, 1)
    ]
    first = execute(made[:3], tmp_path)
    assert [entry.reused for entry in first] == [False] * 3
    second = execute(made, tmp_path)
    assert [entry.reused for entry in second] == [True] * 3 + [False] * 5
    write_sweep(tmp_path, plan)
    write_index(tmp_path, second)
    lines = (tmp_path / "index.csv").read_text().splitlines()
    assert len(lines) == 9
    header = lines[0].split(",")
    assert {
        "run",
        "topology.hosts",
        "algorithm.kind",
        "seed",
        "time_to_target_s",
        "breakdown.io_s",
    } <= set(header)
    assert len(header) == len(set(header))


def test_one_broken_run_does_not_cost_the_others(tmp_path, monkeypatch):
    from simulator.experiment import sweep as module

    original = module.measured

    def broken(scenario):
        if scenario.seed == 0:
            raise RuntimeError("boom")
        return original(scenario)

    monkeypatch.setattr(module, "measured", broken)
    entries = execute(sweep().scenarios(), tmp_path)
    assert [bool(entry.error) for entry in entries] == [True, False]
    assert "boom" in entries[0].error


def test_equal_seeds_share_all_randomness():
    """Common random numbers: compute times are the same whatever the algorithm."""
    spans = [
        run(scenario(algorithm={"kind": kind})).tables["spans"] for kind in ("sync-sgd", "dc-s3gd")
    ]
    times = [
        [
            round(end - start, 12)
            for worker, kind, start, end in zip(
                table["worker"], table["kind"], table["start_s"], table["end_s"], strict=True
            )
            if worker == 2 and kind == "compute"
        ]
        for table in spans
    ]
    assert times[0] == times[1]


def test_axes_are_read_as_yaml():
    assert axis("a.b=1,2.5,x y") == ("a.b", [1, 2.5, "x y"])
    assert axis("learning.model.hidden=[8],[16, 16]") == ("learning.model.hidden", [[8], [16, 16]])


def test_a_thinned_or_traceless_folder_is_not_taken_for_a_full_one(tmp_path):
    thin = scenario(record={"every": 2})
    save(run(thin), tmp_path)
    assert finished(tmp_path, thin)
    assert finished(tmp_path, scenario()) is None
    save(run(scenario(record={"spans": False, "messages": False})), tmp_path)
    assert finished(tmp_path, scenario()) is None


def test_kinds_of_a_grid_come_before_settings(tmp_path):
    from simulator.experiment.loading import Override

    document = Document(
        merged(SMALL, {"algorithm": {"kind": "dc-s3gd", "compensation": 0.5}}), "t", Path()
    )
    plan = Sweep(
        document,
        [Override("algorithm.period", 2, "-S algorithm.period=2")],
        {"algorithm.kind": ["local-sgd"]},
    )
    notes = []
    assert plan.scenarios(notes)[0].algorithm.period == 2
    assert notes == [
        "--grid algorithm.kind=local-sgd: dropped compensation, which belonged to the "
        "kind that was replaced"
    ]


def test_a_full_disk_ends_a_sweep(tmp_path, monkeypatch):
    from simulator.experiment import sweep as module

    def full(*arguments, **more):
        raise StoreError("no space")

    monkeypatch.setattr(module, "save", full)
    with pytest.raises(StoreError, match="no space"):
        execute(sweep().scenarios(), tmp_path)
