"""What is written is read back as the same cluster."""

import os
import re

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import TopologyError
from topologies import TOPOLOGIES, LinkSpec, Star, worker_nodes
from topologies.readers import read_topology
from topologies.writers import to_csv, to_dot, to_graphml, to_json, write_topology

BUILT = [kind for kind in TOPOLOGIES if kind != "file"]
READABLE = ("json", "graphml", "csv")


def same(read, graph, attributes=("kind", "level", "label", "pos")):
    assert read.is_directed() == graph.is_directed()
    assert list(read) == list(graph)
    for name in attributes:
        assert list(read.nodes(data=name)) == list(graph.nodes(data=name))
    for u, v, data in graph.edges(data=True):
        assert read.edges[u, v] == data
    assert read.number_of_edges() == graph.number_of_edges()
    assert worker_nodes(read) == worker_nodes(graph)


@pytest.mark.parametrize("kind", BUILT)
@pytest.mark.parametrize("suffix", READABLE)
def test_every_builder_is_read_back(kind, suffix, tmp_path):
    for gpus in (0, 2):
        graph = TOPOLOGIES[kind](gpus_per_host=gpus).build()
        path = tmp_path / f"x.{suffix}"
        write_topology(graph, path)
        same(read_topology(path), graph, ("kind",) if suffix == "csv" else ("kind", "level", "pos"))
        assert [p.name for p in tmp_path.iterdir()] == [path.name]


NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)
LINKS = st.fixed_dictionaries(
    {"bandwidth": st.floats(1, 1e17), "latency": st.floats(0, 1e3)},
    optional={"duplex": st.just("half")},
)


@st.composite
def clusters(draw, directed):
    """A connected graph of any shape."""
    names = draw(st.lists(NAMES, min_size=1, max_size=6, unique=True))
    graph = nx.DiGraph() if directed else nx.Graph()
    for name in names:
        kind = draw(st.sampled_from(["host", "switch", "worker", "server"]))
        graph.add_node(name, kind=kind)
    graph.nodes[names[0]].update(kind="host", label="<&\">'", pos=(0.5, -1.25))
    for index in range(1, len(names)):
        graph.add_edge(names[index], names[draw(st.integers(0, index - 1))], **draw(LINKS))
    for u, v in draw(st.lists(st.tuples(*[st.sampled_from(names)] * 2), max_size=5)):
        if u != v and not graph.has_edge(u, v):
            graph.add_edge(u, v, **draw(LINKS))
    if directed:
        for u, v, data in list(graph.edges(data=True)):
            if not graph.has_edge(v, u):
                graph.add_edge(v, u, **data)
    return graph


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("suffix", READABLE)
def test_any_cluster_is_read_back(directed, suffix, tmp_path):
    @settings(max_examples=60, deadline=None)
    @given(clusters(directed))
    def check(graph):
        path = tmp_path / f"x.{suffix}"
        try:
            write_topology(graph, path)
        except TopologyError as error:
            assert re.search("write .json", str(error))  # noqa: PT017
            assert suffix != "json"
            return
        if suffix == "csv" and directed:
            same(read_topology(path), graph.to_undirected(), ("kind",))
        else:
            same(
                read_topology(path), graph, ("kind", "label", "pos")[: 1 if suffix == "csv" else 3]
            )

    check()


def test_the_same_graph_gives_the_same_bytes():
    for write in (to_json, to_graphml, to_csv, to_dot):
        assert write(Star(3, 2).build()) == write(Star(3, 2).build())


def test_networkx_reads_what_is_written(tmp_path):
    """An oracle that is not ours."""
    graph = Star(3, 2, LinkSpec(1e9 / 3, 1e-6)).build()
    write_topology(graph, tmp_path / "x.graphml")
    read = nx.read_graphml(tmp_path / "x.graphml")
    assert dict(read.nodes(data="kind")) == dict(graph.nodes(data="kind"))
    assert nx.utils.graphs_equal(nx.Graph(read.edges), nx.Graph(graph.edges))
    assert read.edges["switch0", "host0"]["bandwidth"] == 1e9 / 3


def test_we_read_what_networkx_writes(tmp_path):
    graph = Star(3, 2).build()
    nx.write_graphml(graph, tmp_path / "x")
    same(read_topology(tmp_path / "x"), graph)
    import json

    (tmp_path / "x").write_text(json.dumps(nx.node_link_data(graph, edges="links")))
    same(read_topology(tmp_path / "x"), graph)


def test_dot_quotes_what_could_end_a_name():
    graph = nx.Graph()
    graph.add_edge('a"];b', "c\\", bandwidth=25e9, latency=5e-6)
    nx.set_node_attributes(graph, "host", "kind")
    assert to_dot(graph).splitlines() == [
        "graph topology {",
        '  "a\\"];b" [kind="host", shape=ellipse];',
        '  "c\\\\" [kind="host", shape=ellipse];',
        '  "a\\"];b" -- "c\\\\" [label="25 Gbit/s, 5 us"];',
        "}",
    ]
    assert "digraph" in to_dot(graph.to_directed())


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("x.yaml", "no format has the suffix '.yaml'; known: .json, .graphml, .csv, .dot"),
        ("x", "no format has the suffix ''"),
        ("none/x.json", "none/x.json: cannot be written: No such file or directory"),
        ("folder.json", "folder.json: cannot be written: Is a directory"),
    ],
)
def test_what_cannot_be_written_is_told(tmp_path, path, message):
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(TopologyError) as caught:
        write_topology(Star().build(), tmp_path / path)
    assert message in str(caught.value)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.json"]


def test_a_file_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    write_topology(Star(2).build(), path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(TopologyError, match="No space left on device"):
        write_topology(Star(9).build(), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["x.json"]


def test_formats_say_what_they_cannot_hold():
    graph = nx.DiGraph()
    for ends, rate in ((("a", "b"), 1e9), (("b", "a"), 2e9)):
        graph.add_edge(*ends, bandwidth=rate, latency=0.0)
    nx.set_node_attributes(graph, "host", "kind")
    with pytest.raises(TopologyError, match=r"has no equal way back.*write \.json"):
        to_csv(graph)
    for write, name in ((to_csv, "# a"), (to_csv, " a"), (to_graphml, "a\x00")):
        with pytest.raises(TopologyError, match=r"write \.json"):
            write(nx.relabel_nodes(Star(1, 0).build(), {"host0": name}))
