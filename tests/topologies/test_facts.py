"""Facts against closed forms, brute force and networkx."""

from dataclasses import replace
from itertools import combinations

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topologies import LinkSpec, attach, facts, facts_of, nodes_of_kind
from topologies.builders import (
    Dragonfly,
    FatTree,
    FullyConnected,
    Hypercube,
    LeafSpine,
    MultiRegion,
    RailOptimised,
    Ring,
    Star,
    Torus,
    TwoLevel,
)

B, L = 8e9, 2e-6
LINK, THIN = LinkSpec(B, L), LinkSpec(1e9, 30e-3)


def of(cls, gpus=0, **given):
    return facts_of(cls(gpus_per_host=gpus, host_link=LINK, **given).build())


@pytest.mark.parametrize("gpus", [0, 3])
@pytest.mark.parametrize(
    ("cls", "given", "hops", "cut", "share"),
    [
        (Star, {"hosts": 8}, 2, 4 * B, 1),
        (Star, {"hosts": 9}, 2, 4 * B, 1),
        (TwoLevel, {"hosts": 8, "oversubscription": 4}, 4, B, 1 / 4),
        (LeafSpine, {"hosts": 16, "oversubscription": 2}, 4, 8 * B / 2, 1 / 2),
        (FatTree, {"k": 4}, 6, 8 * B, 1),
        (FatTree, {"k": 6}, 6, 27 * B, 1),
        # a cut across the longest dimension severs two links per row, one if its size is 2
        (Torus, {"dims": (4, 3)}, 3, 2 * 3 * B, 2 * 3 / (6 * 4)),
        (Torus, {"dims": (4, 6)}, 5, 2 * 4 * B, 2 * 4 / (12 * 4)),
        (Torus, {"dims": (2, 16)}, 9, 2 * 2 * B, 2 * 2 / (16 * 3)),
        (Torus, {"dims": (2, 4)}, 3, 4 * B, 4 / (4 * 3)),
        (Torus, {"dims": (4, 4, 4)}, 6, 2 * 16 * B, 2 * 16 / (32 * 6)),
        (Ring, {"hosts": 8}, 4, 2 * B, 2 / 8),
        (Hypercube, {"dimension": 5}, 5, 16 * B, 1 / 5),
        (FullyConnected, {"hosts": 6}, 1, 9 * B, 9 / 15),
        # two of four groups and two others: four links between them
        (Dragonfly, {"groups": 4, "global_link": THIN}, 5, 4 * 1e9, 4e9 / (16 * B)),
        (MultiRegion, {"regions": 2, "wan_link": THIN}, 3, 1e9, 1e9 / (4 * B)),
        (MultiRegion, {"regions": 4, "wan_link": THIN}, 3, 4e9, 4e9 / (8 * B)),
        (MultiRegion, {"regions": 4, "wan_link": THIN, "mesh": "ring"}, 4, 2e9, 2e9 / (8 * B)),
    ],
)
def test_bisection_and_diameter_in_closed_form(cls, given, hops, cut, share, gpus):
    found = of(cls, gpus, **given)
    assert found.diameter == hops
    assert found.bisection == pytest.approx(cut)
    assert found.bisection_share == pytest.approx(share)
    assert found.sampled_from is None


def test_rails_have_a_nic_per_gpu():
    found = facts_of(RailOptimised(4, 2, spines=0, host_link=LINK).build())
    # half of the hosts have 4 NICs; from rail to rail a message goes through a host
    assert (found.bisection, found.bisection_share) == (4 * B, 1.0)
    assert found.diameter == 4


def test_counts_latency_and_levels():
    found = of(FatTree, 2, k=4)
    assert found.nodes == (("worker", 32), ("host", 16), ("switch", 20))
    assert (found.links, found.workers) == (80, 32)
    assert found.max_latency == pytest.approx(6 * L)
    assert found.oversubscription == ((0, 1.0), (1, 1.0))
    assert of(MultiRegion, wan_link=THIN).max_latency == pytest.approx(30e-3 + 2 * L)
    assert of(LeafSpine, oversubscription=4).oversubscription == ((0, 4.0),)
    assert of(Star).oversubscription == ()


def test_oversubscription_by_level():
    edge_heavy = FatTree(k=4, host_link=LINK, fabric_link=LinkSpec(B / 2, L), gpus_per_host=0)
    assert facts.oversubscription(edge_heavy.build()) == {0: 2.0, 1: 1.0}
    graph = edge_heavy.build()
    for node in nodes_of_kind(graph, "switch"):
        del graph.nodes[node]["level"]  # as in a file: distance from the hosts says the same
    assert facts.oversubscription(graph) == {0: 2.0, 1: 1.0}


def test_small_clusters():
    alone = of(Star, hosts=1)
    assert (alone.diameter, alone.max_latency) == (0, 0.0)
    assert (alone.bisection, alone.bisection_share) == (None, None)
    assert of(Ring, hosts=2).bisection == B


def test_servers_are_neither_hosts_nor_halves():
    graph = Star(4, 0, LINK).build()
    attach(graph, "server0", "server")
    assert facts_of(graph).bisection == 2 * B
    assert facts_of(graph).diameter == 2


def test_each_direction_counts_for_itself():
    graph = Star(4, 0, LINK).build().to_directed()
    for host in ("host2", "host3"):  # slow to receive
        graph.edges["switch0", host].update(bandwidth=1e9, latency=1.0)
    found = facts_of(graph)
    assert found.bisection == 2e9
    assert found.max_latency == pytest.approx(1 + L)
    back = graph.reverse()  # slow to send
    assert facts_of(back).bisection == 2 * B
    assert facts_of(back).max_latency == pytest.approx(1 + L)


def test_what_is_too_large_is_sampled_and_says_so(monkeypatch):
    graph = Torus(dims=(6, 6), gpus_per_host=0).build()
    exact = facts_of(graph)
    monkeypatch.setattr(facts, "MAX_VISITS", 1000)
    sampled = facts_of(graph)
    assert 2 <= sampled.sampled_from < 36
    assert replace(sampled, sampled_from=None) == exact  # every node of a torus sees the same
    monkeypatch.setattr(facts, "MAX_BISECTED", 35)
    assert facts_of(graph).bisection is None


@st.composite
def clusters(draw):
    """Connected graphs of hosts and switches."""
    size = draw(st.integers(2, 8))
    graph = nx.Graph()
    for index in range(size):
        kind = "host" if index < 2 else draw(st.sampled_from(["host", "switch"]))
        graph.add_node(f"n{index}", kind=kind)
    pairs = [(i, draw(st.integers(0, i - 1))) for i in range(1, size)]
    pairs += draw(st.lists(st.sampled_from(list(combinations(range(size), 2))), max_size=8))
    for i, j in pairs:
        rate, delay = draw(st.integers(1, 9)), draw(st.integers(1, 9))
        graph.add_edge(f"n{i}", f"n{j}", bandwidth=rate * 1e9, latency=delay * 1e-6)
    return graph


@settings(max_examples=150, deadline=None)
@given(clusters())
def test_any_cluster_against_brute_force(graph):
    hosts = nodes_of_kind(graph, "host")
    found = facts_of(graph)
    weight = {(u, v): 1 + d["latency"] for u, v, d in graph.edges(data=True)}  # hops come first
    length = dict(
        nx.all_pairs_dijkstra_path_length(
            graph, weight=lambda u, v, _: weight.get((u, v)) or weight[v, u]
        )
    )
    far = [length[a][b] for a in hosts for b in hosts]
    assert found.diameter == int(max(far))
    assert found.max_latency == pytest.approx(max(x - int(x) for x in far))
    # every half of the hosts, and every way to put the switches on one of two sides
    others = nodes_of_kind(graph, "switch")
    cuts = {
        half: min(
            nx.cut_size(graph, [*half, *chosen], weight="bandwidth")
            for count in range(len(others) + 1)
            for chosen in combinations(others, count)
        )
        for half in combinations(hosts, len(hosts) // 2)
    }
    in_file_order = cuts[tuple(hosts[: len(hosts) // 2])]
    assert min(cuts.values()) * (1 - 1e-6) <= found.bisection <= in_file_order * (1 + 1e-6)
    assert any(found.bisection == pytest.approx(cut) for cut in cuts.values())


def test_the_order_of_the_file_does_not_hide_a_narrow_cut():
    """Two racks whose hosts are listed alternately: the cut is between the racks."""
    graph = nx.Graph()
    for rack in ("a", "b"):
        graph.add_node(rack, kind="switch")
    graph.add_edge("a", "b", bandwidth=1e9, latency=0.0)
    for number in range(8):
        graph.add_node(f"h{number}", kind="host")
        graph.add_edge(f"h{number}", "ab"[number % 2], bandwidth=1e9, latency=0.0)
    assert facts_of(graph).bisection == pytest.approx(1e9)
    assert facts_of(graph).bisection_share == pytest.approx(1 / 4)
