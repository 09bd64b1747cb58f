"""Pictures: every node has a place of its own, and the shape shows what the network is."""

import math

import pytest

from topologies import TOPOLOGIES, nodes_of_kind, positions
from topologies.builders import FatTree, LeafSpine, Ring, Torus, TwoLevel
from topologies.layout import circle

BUILT = [kind for kind in TOPOLOGIES if kind != "file"]


@pytest.mark.parametrize("kind", BUILT)
@pytest.mark.parametrize("gpus", [0, 1, 4])
def test_every_node_has_a_place_of_its_own(kind, gpus):
    graph = TOPOLOGIES[kind](gpus_per_host=gpus).build()
    found = positions(graph)
    assert list(found) == list(graph)
    assert all(math.isfinite(x) and math.isfinite(y) for x, y in found.values())
    assert len({(round(x, 4), round(y, 4)) for x, y in found.values()}) == len(graph)
    assert positions(graph) == found


def test_trees_stand_in_rows():
    graph = FatTree(k=4, gpus_per_host=2).build()
    found = positions(graph)
    rows = {"worker": -2, "host": -1}
    for node, data in graph.nodes(data=True):
        assert found[node][1] == rows.get(data["kind"], data.get("level"))
    hosts = [found[host][0] for host in nodes_of_kind(graph, "host")]
    assert hosts == sorted(hosts)


def test_switches_stand_above_their_hosts():
    graph = TwoLevel(hosts=8, gpus_per_host=0).build()
    found = positions(graph)
    for leaf, hosts in (("leaf0", range(4)), ("leaf1", range(4, 8))):
        assert found[leaf][0] == sum(found[f"host{i}"][0] for i in hosts) / 4
    assert found["core0"] == (4.0, 1.0)
    spines = positions(LeafSpine().build())
    assert [spines[f"spine{i}"] for i in range(4)] == [(64 * (i + 0.5) / 4, 1.0) for i in range(4)]


def test_levels_that_a_file_does_not_say_are_found():
    graph = FatTree(k=4, gpus_per_host=0).build()
    expected = positions(graph)
    for node in nodes_of_kind(graph, "switch"):
        del graph.nodes[node]["level"]
    assert positions(graph) == expected


def test_rings_are_round_and_tori_square():
    ring = positions(Ring(hosts=8, gpus_per_host=0).build())
    assert {round(math.hypot(*point), 5) for point in ring.values()} == {1.0}
    torus = positions(Torus(dims=(3, 4), gpus_per_host=0).build())
    assert torus["host0"] == (0.0, 0.0)
    assert torus["host7"] == (3.0, -1.0)


def test_a_direct_network_from_a_file_is_a_circle():
    graph = Ring(hosts=6, gpus_per_host=2).build()
    expected = positions(graph)
    for node in graph:
        graph.nodes[node].pop("pos", None)
    assert positions(graph) == expected


def test_a_few_points_on_a_circle():
    assert circle(1) == [(0.0, 1.0)]
    assert circle(2, 2.0, (1.0, 1.0)) == [(1.0, 3.0), (1.0, -1.0)]
