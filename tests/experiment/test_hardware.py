"""The graph of a scenario: extra hosts, links of hosts that differ, and who sits where."""

import pytest

from simulator.errors import ScenarioError
from simulator.experiment.hardware import (
    graph_of,
    layout_of,
    layout_without_graph,
    servers_of,
    storage_of,
)
from simulator.experiment.questions import Prober
from tests.make import scenario, simulate

SHARED = {"kind": "shared-filesystem", "bandwidth": 3e9}
RACKS = {
    "kind": "leaf-spine",
    "hosts": 6,
    "gpus_per_host": 2,
    "hosts_per_leaf": 2,
    "spines": 1,
}


def test_servers_and_storage_get_hosts_of_their_own():
    made = scenario(algorithm={"kind": "async-ps"}, storage=SHARED)
    graph = graph_of(made)
    assert servers_of(graph, made) == ["server0"]
    assert storage_of(graph, made) == "storage0"
    assert graph.nodes["storage0"]["kind"] == "storage"
    assert graph.edges["switch0", "storage0"]["bandwidth"] == 3e9
    nic = graph.edges["switch0", "host0"]["bandwidth"]
    assert graph.edges["switch0", "server0"]["bandwidth"] == nic
    assert storage_of(graph_of(scenario()), scenario()) is None


def test_without_a_switch_host_0_takes_the_part_and_that_is_said():
    ring = {"kind": "ring", "hosts": 3, "gpus_per_host": 0}
    made = scenario(topology=ring, algorithm={"kind": "async-ps"}, storage=SHARED)
    graph = graph_of(made)
    assert (servers_of(graph, made), storage_of(graph, made)) == (["host0"], "host0")
    result = simulate(topology=ring, storage=SHARED)
    assert any("storage.bandwidth says nothing" in warning for warning in result.warnings)


def test_hosts_have_the_links_that_they_are_given():
    made = scenario(
        hosts=[{"hosts": 1, "host_link": {"bandwidth": "1 Gbit/s", "latency": "7 us"}}],
        topology=RACKS,
    )
    for graph in (graph_of(made), Prober.of(made).graph):  # what questions are about, too
        by_host = {
            node: graph.edges[node, next(s for s in graph.adj[node] if s.startswith("leaf"))]
            for node in ("host0", "host1")
        }
        assert (by_host["host1"]["bandwidth"], by_host["host1"]["latency"]) == (1e9, 7e-6)
        assert by_host["host0"]["bandwidth"] > 1e9
        assert graph.edges["host1", "host1.gpu0"]["bandwidth"] > 1e9


def test_a_rack_is_the_hosts_on_one_first_switch():
    layout = layout_of(graph_of(scenario(topology=RACKS)))
    assert layout.hosts == (0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5)
    assert layout.racks == (0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2)
    assert layout.host_nodes[3] == "host3"


def test_equal_hosts_need_no_graph_to_know_who_sits_where():
    made = scenario(topology=RACKS)
    assert layout_without_graph(made).hosts == layout_of(graph_of(made)).hosts
    racks = [{"kind": "slow-workers", "racks": 0}]
    assert layout_without_graph(scenario(topology=RACKS, stragglers=racks)) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hosts": [{"hosts": 2, "speed": 2}]}, "hosts.0.hosts: there is no host 2; the 2 hosts"),
        ({"hosts": [{"hosts": []}]}, "hosts.0.hosts: names no host"),
        ({"hosts": [{"hosts": "1-0"}]}, "hosts.0.hosts: '1-0': 1-0 is no range"),
        ({"hosts": [{"hosts": "a"}]}, "hosts.0.hosts: 'a' names nothing"),
        (
            {"hosts": [{"hosts": 0, "device": "a100"}]},
            "hosts.0.device: says nothing where workload.compute gives the times; use speed",
        ),
        ({"hosts": [{"hosts": 0, "device": "a10"}]}, "hosts.0.device: no device 'a10'; did you"),
    ],
)
def test_hosts_that_cannot_be(changes, message):
    with pytest.raises(ScenarioError) as raised:
        scenario(**changes)
    assert message in str(raised.value)
