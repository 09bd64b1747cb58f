"""Builders give what their settings say; a graph that is no cluster is refused."""

import networkx as nx
import numpy as np
import pytest

import topologies
from simulator.errors import TopologyError
from topologies import LinkSpec, Star, TwoLevel, attach, check, levels, worker_nodes

# The others have sizes of their own: test_builders.py.
ANY_SIZE = ["star", "two-level", "leaf-spine", "ring", "fully-connected", "rail-optimised"]


@pytest.mark.parametrize("kind", ANY_SIZE)
@pytest.mark.parametrize("hosts", [1, 3, 9])
@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_builders(kind, hosts, gpus):
    topology = topologies.TOPOLOGIES[kind](gpus_per_host=gpus).with_hosts(hosts)
    graph = topology.build()
    check(graph)
    assert len(topologies.nodes_of_kind(graph, "host")) == hosts == topology.hosts
    assert len(worker_nodes(graph)) == topology.workers == hosts * max(1, gpus)


def test_workers_are_ranked_host_by_host():
    assert worker_nodes(Star(2, 2).build()) == [
        "host0.gpu0",
        "host0.gpu1",
        "host1.gpu0",
        "host1.gpu1",
    ]


def test_an_extra_host_hangs_on_the_first_switch_like_the_first_host():
    graph = TwoLevel(4, 1, 2, 1.0, LinkSpec(25e9, 1e-6)).build()
    assert attach(graph, "server0", "server") == "server0"
    assert list(graph.adj["server0"]) == ["core0"]
    assert graph.edges["core0", "server0"]["bandwidth"] == 25e9
    lone = nx.Graph()
    lone.add_node("only", kind="host")
    assert attach(lone, "server0", "server") == "only"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda g: g.add_edge("host0", "host0", bandwidth=1.0, latency=0.0),
            "connects a node with itself",
        ),
        (lambda g: g.edges["switch0", "host0"].pop("bandwidth"), "needs a positive bandwidth"),
        (lambda g: g.edges["switch0", "host0"].update(bandwidth=0), "needs a positive bandwidth"),
        (lambda g: g.edges["switch0", "host0"].update(latency=-1), "needs a latency"),
        (lambda g: g.edges["switch0", "host0"].update(bandwidth="1"), "positive bandwidth .* '1'"),
        (lambda g: g.edges["switch0", "host0"].update(latency=None), "needs a latency in s"),
        (lambda g: g.edges["switch0", "host0"].update(latency=float("nan")), "needs a latency"),
        (lambda g: g.edges["switch0", "host0"].update(bandwidth=float("inf")), "bandwidth"),
        (lambda g: g.edges["switch0", "host0"].update(duplex="none"), "has duplex 'none'"),
        (lambda g: g.remove_nodes_from(["host0", "host1"]), "no node of kind 'worker' or 'host'"),
        (lambda g: g.add_node("x", kind="toaster"), "has kind 'toaster'"),
        (lambda g: g.add_node("apart", kind="host"), "'apart' cannot be reached"),
    ],
)
def test_a_graph_that_is_no_cluster_is_refused(change, message):
    graph = Star(2, 0).build()
    change(graph)
    with pytest.raises(TopologyError, match=message):
        check(graph)


def test_numbers_of_numpy_are_numbers():
    graph = Star(2, 0, LinkSpec(np.float32(1e9), np.int64(0))).build()
    check(graph)


def test_a_way_there_needs_a_way_back():
    graph = Star(2, 0).build().to_directed()
    check(graph)
    graph.remove_edge("host1", "switch0")
    with pytest.raises(TopologyError, match="'switch0' cannot be reached from 'host1'"):
        check(graph)
    graph.add_edge("host1", "switch0", bandwidth=1.0, latency=0.0)
    graph.remove_edge("switch0", "host1")
    with pytest.raises(TopologyError, match="'host1' cannot be reached from 'switch0'"):
        check(graph)


def test_a_flood_of_problems_is_cut_after_twenty():
    graph = nx.Graph(source="big.json")
    graph.add_node("s", kind="switch")
    for index in range(100_000):
        graph.add_node(f"h{index}", kind="host")
        graph.add_edge("s", f"h{index}", latency=0.0)
    with pytest.raises(TopologyError) as caught:
        check(graph)
    lines = str(caught.value).splitlines()
    assert lines[0] == "big.json: link 's' - 'h0' needs a positive bandwidth in bit/s, not None"
    assert lines[19].startswith("big.json: link 's' - 'h19'")
    assert lines[20:] == ["... and 99,980 more problems"]


@pytest.mark.parametrize(("wrong", "last"), [(20, "h19"), (21, "... and 1 more problems")])
def test_what_is_not_told_is_counted(wrong, last):
    graph = Star(wrong, 0).build()
    for *_, data in graph.edges(data=True):
        data["latency"] = -1
    with pytest.raises(TopologyError) as caught:
        check(graph)
    assert last.replace("h19", "'host19'") in str(caught.value).splitlines()[-1]


def test_levels_count_switches_from_the_hosts():
    graph = TwoLevel(4, 0, 2).build()
    assert levels(graph) == {"core0": 1, "leaf0": 0, "leaf1": 0}
    for node in levels(graph):
        del graph.nodes[node]["level"]
    assert levels(graph) == {"core0": 1, "leaf0": 0, "leaf1": 0}
    graph.nodes["core0"]["level"] = 7  # what a node says counts
    assert levels(graph)["core0"] == 7
    ring = nx.cycle_graph(["a", "b", "c"])
    nx.set_node_attributes(ring, "switch", "kind")
    assert levels(ring) == {"a": 0, "b": 0, "c": 0}


def test_an_extra_host_in_odd_clusters():
    """GPUs' NICs count where hosts have none; a switch among the GPUs of one host does not."""
    graph = nx.Graph()
    for host in range(2):
        graph.add_node(f"h{host}", kind="host")
        graph.add_node(f"g{host}", kind="worker")
        graph.add_edge(f"h{host}", f"g{host}", bandwidth=5.0, latency=1.0)
    graph.add_node("s", kind="switch")
    graph.add_edges_from([("s", "g0"), ("s", "g1")], bandwidth=7.0, latency=1.0)
    alone = graph.copy()
    assert attach(graph, "server0", "server") == "server0"
    assert graph.edges["s", "server0"]["bandwidth"] == 7.0
    alone.remove_nodes_from(["h1", "g1"])
    assert attach(alone, "server0", "server") == "h0"


def test_an_extra_host_in_a_directed_graph_is_linked_both_ways():
    graph = Star(2, 0).build().to_directed()
    graph.edges["host0", "switch0"]["bandwidth"] = 3e9
    attach(graph, "server0", "server")
    check(graph)
    assert graph.edges["server0", "switch0"]["bandwidth"] == 3e9
    assert graph.edges["switch0", "server0"]["bandwidth"] == 10e9
