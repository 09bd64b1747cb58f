"""``paceline topology``, and topologies from files in all commands."""

import json

import pytest


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
