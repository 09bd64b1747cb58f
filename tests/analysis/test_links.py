"""Links in results: the busiest one, pictures of topologies, traffic over time."""

import gzip
import json

import numpy as np
import pytest
from matplotlib.figure import Figure

from analysis.errors import ResultError
from analysis.load import load
from analysis.metrics import bottleneck, busiest, comparison
from analysis.topology import MOST_NODES, draw_graph
from simulator.experiment.pictures import picture
from simulator.experiment.run import run
from simulator.experiment.store import save
from simulator.network.history import INTERVALS, spread
from tests.make import scenario, simulate
from topologies import Star
from topologies.builders import TOPOLOGIES


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """async-ps, whose server's link is the bottleneck, and a run without any traffic."""
    out = tmp_path_factory.mktemp("out")
    save(run(scenario(algorithm={"kind": "async-ps"})), out)
    save(run(scenario(topology={"hosts": 1, "gpus_per_host": 1})), out)
    return {run.summary["algorithm"]: run for run in load([out])}


def test_the_busiest_link_is_that_of_the_server(runs):
    source, target, used = busiest(runs["async-ps"])
    assert "server0" in (source, target)
    table = runs["async-ps"].table("links")
    assert used == table["utilisation"].max() > 0
    assert bottleneck([runs["async-ps"]]) == f"{source} -> {target} ({used:.0%})"
    (row,) = comparison([runs["async-ps"]])
    assert row["busiest link"] == bottleneck([runs["async-ps"]])


def test_without_traffic_there_is_none(runs):
    assert busiest(runs["sync-sgd"]) is None
    assert bottleneck([runs["sync-sgd"]]) is None


def test_a_damaged_or_missing_topology_is_an_error(runs, tmp_path):
    run = runs["async-ps"]
    assert {node["id"] for node in run.topology()["nodes"]} >= {"switch0", "server0"}
    path = run.folder / "topology.json.gz"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:40])
        with pytest.raises(ResultError, match="damaged"):
            run.topology()
        path.unlink()
        with pytest.raises(ResultError, match="run again"):
            run.topology()
    finally:
        path.write_bytes(content)


def test_a_link_shows_the_busier_of_its_directions():
    graph = picture(Star(2, 0).build())
    ax = Figure().subplots()
    links = draw_graph(graph, ax, {("switch0", "host0"): 0.2, ("host0", "switch0"): 0.7})
    assert links.get_array().tolist() == [0.7, 0.0]
    assert links.get_clim() == (0.0, 1.0)


def test_of_a_large_cluster_the_switches_are_drawn():
    graph = picture(Star(MOST_NODES, 0).build())
    ax = Figure().subplots()
    draw_graph(graph, ax)
    assert "only the 1 switches" in ax.get_title(loc="left")


@pytest.mark.parametrize("kind", [kind for kind in TOPOLOGIES if kind != "file"])
def test_every_topology_can_be_drawn(kind):
    graph = TOPOLOGIES[kind]().build()
    data = json.loads(json.dumps(picture(graph)))
    places = [(node["x"], node["y"]) for node in data["nodes"]]
    assert len(set(places)) == len(graph)  # no two nodes in one place
    draw_graph(data, Figure().subplots())


@pytest.mark.parametrize("fidelity", ["flow", "message", "alpha-beta"])
def test_traffic_over_time_adds_up_and_stays_below_the_bandwidth(fidelity):
    result = simulate(algorithm={"kind": "async-ps"}, network={"fidelity": fidelity})
    links, history = result.tables["links"], result.tables["link_history"]
    rates = {("host0", "switch0"): 1.25e9, ("switch0", "server0"): 1.25e9}
    for ends, rate in rates.items():
        at = [
            i
            for i, e in enumerate(zip(history["source"], history["target"], strict=True))
            if e == ends
        ]
        seconds = np.array(history["end_s"])[at] - np.array(history["start_s"])[at]
        nbytes = np.array(history["nbytes"])[at]
        assert (nbytes <= rate * seconds * (1 + 1e-9) + 1e-3).all() or fidelity == "alpha-beta"
        row = list(zip(links["source"], links["target"], strict=True)).index(ends)
        assert nbytes.sum() == pytest.approx(links["nbytes"][row])
    assert max(history["end_s"]) == pytest.approx(result.summary["simulated_time_s"])


def test_spread_is_a_ramp_from_begin_to_end():
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 90, 200)
    rows = {
        "carrier": rng.integers(0, 3, 200),
        "nbytes": rng.uniform(1, 5, 200),
        "start_s": start,
        "end_s": start + rng.uniform(0.1, 30, 200),
    }
    found, expected = spread(rows, 3, 1.0), np.zeros((3, INTERVALS))
    for c, n, a, b in zip(*(rows[k] for k in rows), strict=True):
        for i in range(INTERVALS):
            expected[c, i] += n * max(0.0, min(b, i + 1) - max(a, i)) / (b - a)
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_the_picture_is_part_of_the_result(runs):
    with gzip.open(runs["async-ps"].folder / "topology.json.gz", "rt") as stream:
        stored = json.load(stream)
    assert stored["edges"][0].keys() == {"source", "target", "bandwidth", "latency"}
    outputs = runs["async-ps"].manifest["outputs"]
    assert "topology.json.gz" in outputs
