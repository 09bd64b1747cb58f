"""Routes: shortest by hops, then latency, and d-mod-k among equals."""

import networkx as nx
import pytest

from simulator.network import Links, Router
from topologies import Star, TwoLevel


def router(graph):
    return Router(graph, Links(graph))


def nodes(found, route):
    return [route.source] + [found.links.ends[edge][1] for edge in route.edges]


def leaf_spine(leaves=3, spines=2, hosts=2):
    graph = nx.Graph()
    for s in range(spines):
        graph.add_node(f"spine{s}", kind="switch")
    for leaf in range(leaves):
        graph.add_node(f"leaf{leaf}", kind="switch")
        for s in range(spines):
            graph.add_edge(f"leaf{leaf}", f"spine{s}", bandwidth=1e9, latency=1e-6)
        for h in range(hosts):
            graph.add_node(f"h{leaf * hosts + h}", kind="host")
            graph.add_edge(f"leaf{leaf}", f"h{leaf * hosts + h}", bandwidth=1e9, latency=1e-6)
    return graph


def test_equal_routes_are_spread_by_the_target():
    """Among S equal next hops, number k mod S, k being the target's index."""
    found = router(leaf_spine())
    for target in range(2, 6):
        path = nodes(found, found.route("h0", f"h{target}"))
        assert path == ["h0", "leaf0", f"spine{target % 2}", f"leaf{target // 2}", f"h{target}"]


def test_inside_a_leaf_no_spine_is_used():
    found = router(leaf_spine())
    assert nodes(found, found.route("h0", "h1")) == ["h0", "leaf0", "h1"]
    assert nodes(found, found.route("h0", "leaf0")) == ["h0", "leaf0"]
    assert nodes(found, found.route("leaf0", "h0")) == ["leaf0", "h0"]


def test_hops_come_before_latency():
    graph = nx.Graph()
    for name in "abc":
        graph.add_node(name, kind="host")
    graph.add_edge("a", "c", bandwidth=1e9, latency=1.0)
    graph.add_edge("a", "b", bandwidth=1e9, latency=1e-6)
    graph.add_edge("b", "c", bandwidth=1e9, latency=1e-6)
    assert nodes(router(graph), router(graph).route("a", "c")) == ["a", "c"]


def test_latency_decides_among_equal_hops():
    graph = nx.Graph()
    for name in "asbt":
        graph.add_node(name, kind="host")
    for u, v, latency in (("s", "a", 2e-6), ("a", "t", 1e-6), ("s", "b", 1e-6), ("b", "t", 1e-6)):
        graph.add_edge(u, v, bandwidth=1e9, latency=latency)
    for source, target in (("s", "t"), ("t", "s")):
        found = router(graph)
        assert nodes(found, found.route(source, target)) == [source, "b", target]


def test_file_order_not_names_decides():
    graph = Star(12, 0).build()
    found = router(graph)
    assert found._wiring.number[found.node_number["host10"]] == 10


@pytest.mark.parametrize(
    ("source", "target", "egress", "ingress"),
    [
        ("host0.gpu1", "host1.gpu0", ("host0", "switch0"), ("switch0", "host1")),
        ("host0.gpu1", "host0", ("host0.gpu1", "host0"), ("host0.gpu1", "host0")),
        ("host0.gpu1", "host0.gpu0", ("host0.gpu1", "host0"), ("host0", "host0.gpu0")),
        ("host0", "host1", ("host0", "switch0"), ("switch0", "host1")),
    ],
)
def test_messages_queue_at_the_nic(source, target, egress, ingress):
    found = router(Star(2, 2).build())
    route = found.route(source, target)
    assert found.links.ends[route.egress] == egress
    assert found.links.ends[route.ingress] == ingress


def test_a_route_knows_its_latency_and_narrowest_link():
    graph = TwoLevel(hosts=4, gpus_per_host=1, hosts_per_leaf=2, oversubscription=8).build()
    route = router(graph).route("host0.gpu0", "host3.gpu0")
    assert route.latency == pytest.approx(2 * 5e-6 + 4 * 10e-6)
    assert route.seconds_per_byte == pytest.approx(8 / (10e9 * 2 / 8))


def test_every_pair_has_a_simple_route():
    graph = leaf_spine()
    found = router(graph)
    for source in graph:
        for target in graph:
            if source != target:
                path = nodes(found, found.route(source, target))
                assert path[-1] == target
                assert len(set(path)) == len(path)
                assert len(path) - 1 == nx.shortest_path_length(graph, source, target)
