"""Builders give what their settings say; a graph that is no cluster is refused."""

import networkx as nx
import pytest

import topologies
from simulator.errors import TopologyError
from topologies import TOPOLOGIES, LinkSpec, Star, TwoLevel, attach, check, worker_nodes


@pytest.mark.parametrize("kind", TOPOLOGIES)
@pytest.mark.parametrize("hosts", [1, 3, 9])
@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_builders(kind, hosts, gpus):
    topology = TOPOLOGIES[kind](gpus_per_host=gpus).with_hosts(hosts)
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
        (lambda g: g.add_node("x", kind="toaster"), "has kind 'toaster'"),
        (lambda g: g.add_node("apart", kind="host"), "'apart' cannot be reached"),
    ],
)
def test_a_graph_that_is_no_cluster_is_refused(change, message):
    graph = Star(2, 0).build()
    change(graph)
    with pytest.raises(TopologyError, match=message):
        check(graph)
