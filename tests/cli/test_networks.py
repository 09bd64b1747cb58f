"""``collectives``, ``flows`` and ``topology``: numbers, formats, and errors that help."""

import json

import pytest

from simulator.cli import call
from simulator.cli.networks import KINDS
from simulator.network import COLLECTIVES

NIC = 1.25e9  # B/s of the quickstart's NIC


@pytest.fixture
def paceline(capsys, tmp_path, monkeypatch):
    """Run a command in an empty folder; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments):
        code = call([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command


def test_the_kinds_offered_are_those_there_are():
    assert list(COLLECTIVES) == list(KINDS)


def test_collectives_prints_si_numbers(paceline):
    """Ring over 8 GPUs of two hosts: 14 rounds of 40 us and an eighth through a NIC."""
    code, out, err = paceline(
        "collectives", "quickstart", "--algorithm", "ring", "--sizes", "1MB,16MB", "--json"
    )
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["nbytes"] for row in rows] == [1e6, 16e6]
    for row in rows:
        assert row["time_s"] == pytest.approx(14 * (30e-6 + row["nbytes"] / 8 / NIC), rel=1e-9)
        assert row["algbw_bytes_per_s"] == pytest.approx(row["nbytes"] / row["time_s"])
        assert row["busbw_bytes_per_s"] == pytest.approx(row["algbw_bytes_per_s"] * 14 / 8)


def test_collectives_for_people_say_why(paceline):
    code, out, err = paceline("collectives", "quickstart", "--sizes", "1MB", "--ranks", 4)
    assert code == 0
    assert out.startswith("all-reduce, 4 ranks, fidelity flow\n")
    assert "size (B)" in out
    assert "busbw (GB/s)" in out
    assert "at 1e+06 B: the cheapest by the alpha-beta model: ring" in err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fidelity", ["flow", "message", "alpha-beta"])
def test_every_kind_in_every_fidelity(paceline, kind, fidelity):
    code, out, _ = paceline(
        *("collectives", "quickstart", "--kind", kind, "--algorithm", "all"),
        *("--sizes", "8MB", "--fidelity", fidelity, "--json"),
    )
    rows = json.loads(out)
    assert code == 0
    assert [row["algorithm"] for row in rows] == list(COLLECTIVES[kind])
    assert all(row["time_s"] > 0 for row in rows)


def test_sizes_are_those_of_nccl_tests(paceline):
    """All-gather of 8 MB in all is 1 MB from each of 8 ranks: seven rounds of 1 MB."""
    _, out, _ = paceline(
        *("collectives", "quickstart", "--kind", "all-gather", "--algorithm", "ring"),
        *("--sizes", "8MB", "--json"),
    )
    assert json.loads(out)[0]["time_s"] == pytest.approx(7 * (30e-6 + 1e6 / NIC))


LOG = """\
# Collective test starting: all_reduce_perf
   1000000 250000  float sum -1 2000.0 0.50 0.88 0 2000.0 0.50 0.88 0
   2000000 500000  float sum -1 4000.0 0.50 0.88 0 4000.0 0.50 0.88 0
"""


def test_beside_a_measured_log(paceline, tmp_path):
    (tmp_path / "nccl.log").write_text(LOG)
    arguments = ("collectives", "quickstart", "--algorithm", "ring", "--measured", "nccl.log")
    rows = json.loads(paceline(*arguments, "--json")[1])
    assert [row["nbytes"] for row in rows] == [1e6, 2e6]
    assert rows[0]["measured_s"] == 2e-3
    assert rows[0]["error"] == pytest.approx(rows[0]["time_s"] / 2e-3 - 1)
    code, out, _ = paceline(*arguments)
    assert "measured (us)" in out
    code, _, err = paceline(*arguments, "--kind", "broadcast", "--algorithm", "auto")
    assert code == 2
    assert "--algorithm" in err or "no measurement of broadcast" in err


FLOWS = "source,target,nbytes,start_s\nhost0,host1,100 MB,0\nhost0,host1,1e8,10 ms\n"


def test_flows_share_and_name_the_bottleneck(paceline, tmp_path):
    """Two of 100 MB through one NIC: the second begins when the first has 87.5 MB left."""
    (tmp_path / "flows.csv").write_text(FLOWS)
    code, out, err = paceline("flows", "quickstart", "--flows", "flows.csv", "--json")
    first, second = json.loads(out)
    assert (code, err) == (0, "")
    assert first["finish_s"] == pytest.approx(20e-6 + 0.01 + 2 * 87.5e6 / NIC)
    assert second["finish_s"] == pytest.approx(20e-6 + 2e8 / NIC)
    assert second["time_s"] == pytest.approx(second["finish_s"] - 0.01)
    assert (first["bottleneck_source"], first["bottleneck_target"]) == ("host0", "switch0")
    code, out, _ = paceline("flows", "quickstart", "--flows", "flows.csv")
    assert "host0 -> switch0" in out


def test_a_transfer_that_never_ends_has_no_finish(paceline, tmp_path):
    (tmp_path / "flows.csv").write_text(FLOWS)
    failed = "network.links=[{source: host0, target: switch0, at: 20 ms}]"
    code, out, _ = paceline("flows", "quickstart", "--flows", "flows.csv", "-S", failed, "--json")
    assert code == 0
    assert [row["finish_s"] for row in json.loads(out)] == [None, None]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("source,target\nhost0,host1\n", ["flows.csv:1: has no column nbytes"]),
        ("source,target,nbytes\n", ["flows.csv: has no transfers"]),
        (
            "source,target,nbytes,start_s\n"
            "hst0,host1,1 MB,0\nhost0,host1,1 s,0\nhost0,host1,1,-1\n",
            [
                "flows.csv:2: source: no node 'hst0'; did you mean 'host0'?",
                "flows.csv:3: nbytes: '1 s' is a time",
                "flows.csv:4: start_s: '-1' is negative",
            ],
        ),
        ("source,target,nbytes\nhost0,host1\n", ["flows.csv:2: nbytes: ''"]),
    ],
)
def test_wrong_flows_are_located(paceline, tmp_path, text, messages):
    (tmp_path / "flows.csv").write_text(text)
    code, out, err = paceline("flows", "quickstart", "--flows", "flows.csv")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == len(messages)
    for line, message in zip(err.splitlines(), messages, strict=True):
        assert line.startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collectives", "quickstart", "--ranks", "9"], "--ranks 9: the topology has 8 workers"),
        (["collectives", "quickstart", "--algorithm", "rnig"], "did you mean 'ring'?"),
        (["collectives", "quickstart", "--sizes", "1 s"], "'1 s' is a time"),
        (["collectives", "quickstart", "--measured", "nowhere"], "cannot be read"),
        (["collectives", "nowhere.json"], "no such file"),
        (["flows", "quickstart", "--flows", "nowhere.csv"], "cannot be read"),
        (["flows", "quickstart"], "Missing option '--flows'"),
        (["topology", "show", "quickstrt"], "did you mean 'quickstart'?"),
        (["topology", "convert", "quickstart", "x.tar"], "x.tar"),
        (["topology", "show", "quickstart", "-o", "x.bmp"], "no format '.bmp'"),
    ],
)
def test_usage_errors(paceline, arguments, message):
    code, out, err = paceline(*arguments)
    assert (code, out) == (2, "")
    assert message in err


def test_show_convert_and_check_go_round(paceline, tmp_path):
    code, out, _ = paceline(
        *("topology", "convert", "quickstart", "t.json", "-S", "topology.kind=leaf-spine")
    )
    assert code == 0
    assert json.loads(paceline("topology", "show", "t.json", "--json")[1]) == json.loads(
        paceline("topology", "show", "quickstart", "-S", "topology.kind=leaf-spine", "--json")[1]
    )
    code, out, _ = paceline("topology", "check", "t.json", "quickstart")
    assert code == 0
    assert "t.json: ok, 8 workers on 2 hosts" in out
    code, _, err = paceline("topology", "convert", "quickstart", "t.json")
    assert code == 2
    assert "t.json exists" in err
    assert paceline("topology", "convert", "quickstart", "t.json", "--force")[0] == 0
    code, _, err = paceline("topology", "show", "t.json", "-o", "t.png")
    assert code == 0
    assert (tmp_path / "t.png").read_bytes()[:4] == b"\x89PNG"


def test_a_bare_topology_answers_questions_and_runs(paceline, tmp_path):
    paceline("topology", "convert", "quickstart", "t.graphml")
    sizes = ("--algorithm", "ring", "--sizes", "1MB", "--json")
    assert json.loads(paceline("collectives", "t.graphml", *sizes)[1]) == json.loads(
        paceline("collectives", "quickstart", *sizes)[1]
    )
    (tmp_path / "mine.yaml").write_text(
        "topology: {kind: file, path: t.graphml}\nstop: {steps: 3}\n"
    )
    code, out, _ = paceline("run", "mine.yaml")
    assert code == 0
    assert "8 workers on 2 hosts: completed" in out
    first = paceline("run", "mine.yaml", "--json")[1]
    (tmp_path / "t.graphml").write_text((tmp_path / "t.graphml").read_text() + "\n")
    again = paceline("run", "mine.yaml", "--json")[1]
    hashes = [json.loads(text)["config_hash"] for text in (first, again)]
    assert hashes[0] != hashes[1]  # the content counts


BROKEN = {
    "parts": "source,target,bandwidth,latency\na,b,1 Gbit/s,1 us\nc,d,1 Gbit/s,1 us\n",
    "missing": "source,target,latency\na,s,1 us\nb,s,1 us\n",
    "zero": "source,target,bandwidth,latency\na,s,0,1 us\nb,s,1 Gbit/s,1 us\n",
    "itself": "source,target,bandwidth,latency\na,a,1 Gbit/s,1 us\na,s,1 Gbit/s,1 us\n",
}


@pytest.mark.parametrize(
    ("name", "place", "message"),
    [
        ("parts", "", "cannot be reached"),
        ("missing", ":2", "has no bandwidth"),
        ("zero", ":2", "is zero"),
        ("itself", ":2", "connects a node with itself"),
    ],
)
@pytest.mark.parametrize("command", ["check", "show", "collectives", "run"])
def test_broken_topologies_are_located(paceline, tmp_path, command, name, place, message):
    (tmp_path / "t.csv").write_text(BROKEN[name])
    (tmp_path / "s.yaml").write_text("topology: {kind: file, path: t.csv}\n")
    arguments = {
        "check": ("topology", "check", "t.csv"),
        "show": ("topology", "show", "t.csv"),
        "collectives": ("collectives", "t.csv"),
        "run": ("run", "s.yaml"),
    }[command]
    code, out, err = paceline(*arguments)
    assert (code, out) == (2, "")
    assert f"t.csv{place}" in err
    assert message in err
    assert not (tmp_path / "out").exists()


def test_nodes_for_a_topology_whose_size_follows(paceline):
    arguments = ("run", "quickstart", "-S", "topology.kind=fat-tree", "-S", "stop.steps=2")
    code, _, err = paceline(*arguments, "--nodes", 20)
    assert code == 2
    assert "--nodes" in err or "topology.hosts" in err
    assert "16 (k=4) or 54 (k=6), not 20" in err
    code, out, _ = paceline(*arguments, "--nodes", 16, "--json")
    assert json.loads(out)["hosts"] == 16


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "network.links=[{source: host0, target: host1, at: 0}]",
            "network.links.0.target: there is no link from host0 to 'host1'",
        ),
        (
            "network.links=[{source: host0, target: switch0, at: 2, until: 1}]",
            "network.links.0.until: is 1 s, not later than `at`, 2 s",
        ),
        (
            "network.background=[{source: host0, target: hst1}]",
            "network.background.0.target: the topology has no node 'hst1'; it has host1",
        ),
        ("network.background=[{source: host0, target: host0}]", "is the source"),
        ("network.fidelity=table", "network.costs: is missing"),
        ("network.costs=[{path: x.log}]", "has no effect in fidelity flow"),
        ("network.jitter=5 GB", "network.jitter: '5 GB' is a size"),
    ],
)
def test_settings_of_the_network_that_cannot_be(paceline, setting, message):
    code, _, err = paceline("validate", "quickstart", "-S", setting)
    assert code == 2
    assert message in err


def test_conditions_need_shared_links(paceline):
    code, _, err = paceline(
        *(
            "validate",
            "quickstart",
            "-S",
            "network.jitter=1 us",
            "-S",
            "network.fidelity=alpha-beta",
        )
    )
    assert code == 2
    assert "network.jitter: needs links that are shared" in err
