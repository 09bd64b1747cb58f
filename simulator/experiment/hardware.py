"""The hardware of a scenario: its graph, with servers and storage, and who sits where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import topologies
from simulator.algorithms import Algorithm
from simulator.cluster import HostSettings, Layout
from simulator.cluster.equipment import by_host
from simulator.cluster.stragglers import SlowLinks, StragglerModel
from simulator.engine import Streams
from simulator.experiment.scenario import Scenario
from simulator.network.conditions import LinkChange
from topologies.attributes import host_of, nodes_of_kind
from topologies.builders.hosts import EqualHosts

if TYPE_CHECKING:
    import networkx as nx


def graph_of(scenario: Scenario) -> nx.Graph[str]:
    """Topology with the servers and the storage that the scenario needs, and hosts as they are.

    Raises
    ------
    TopologyError
        If it cannot be used.
    """
    graph = scenario.topology.build()
    for number in range(servers_wanted(scenario.algorithm)):
        topologies.attach(graph, f"server{number}", "server")
    if scenario.storage.attached:
        node = topologies.attach(graph, STORAGE, "storage")
        if node == STORAGE:
            for edge in _network_edges(graph, STORAGE):
                edge["bandwidth"] = getattr(scenario.storage, "bandwidth")  # noqa: B009
    _equip_links(graph, scenario.hosts)
    topologies.check(graph)
    return graph


STORAGE = "storage0"


def servers_wanted(algorithm: Algorithm) -> int:
    """Nodes for parameter servers: as many shards as the algorithm's settings say."""
    shards: int = getattr(algorithm, "shards", 1)
    return algorithm.needs.servers * shards


def servers_of(graph: nx.Graph[str], scenario: Scenario) -> list[str]:
    """Nodes of the parameter servers; host 0 where there is no switch for an extra host."""
    wanted = servers_wanted(scenario.algorithm)
    found = [name for name in (f"server{i}" for i in range(wanted)) if name in graph]
    return found + [_first_host(graph)] * (wanted - len(found))


def storage_of(graph: nx.Graph[str], scenario: Scenario) -> str | None:
    """Node of the storage, if it has one."""
    if not scenario.storage.attached:
        return None
    return STORAGE if STORAGE in graph else _first_host(graph)


def _first_host(graph: nx.Graph[str]) -> str:
    return (nodes_of_kind(graph, "host") or topologies.worker_nodes(graph))[0]


def network_links(graph: nx.Graph[str], host: str) -> list[str]:
    """Neighbours of a host that are not its own GPUs."""
    return [other for other in graph.adj[host] if graph.nodes[other]["kind"] != "worker"]


def _equip_links(graph: nx.Graph[str], hosts: Sequence[HostSettings]) -> None:
    """Give some hosts the links that `hosts` says they have."""
    links = {number: one.host_link for number, one in by_host(hosts).items() if one.host_link}
    if not links:
        return
    nodes = layout_of(graph).host_nodes
    for number, link in links.items():
        if number >= len(nodes):
            continue  # said elsewhere, with its place
        for edge in _network_edges(graph, nodes[number]):
            edge["bandwidth"] = link.bandwidth
            if link.latency is not None:
                edge["latency"] = link.latency


def _network_edges(graph: nx.Graph[str], host: str) -> Iterator[dict[str, Any]]:
    """Attributes of the links of a host, or of storage, to the network, in both directions."""
    for other in network_links(graph, host):
        for u, v in ((host, other), (other, host)):
            if graph.has_edge(u, v):
                yield graph.edges[u, v]


def layout_of(graph: nx.Graph[str]) -> Layout:
    """Who sits where on *graph*; a host's rack is its first switch."""
    workers = topologies.worker_nodes(graph)
    homes = [host_of(graph, node) for node in workers]
    hosts = {host: number for number, host in enumerate(dict.fromkeys(homes))}
    racks: dict[str, int] = {}
    rack_of = {}
    for host in hosts:
        switches = [node for node in graph.adj[host] if graph.nodes[node]["kind"] == "switch"]
        rack_of[host] = racks.setdefault(switches[0] if switches else host, len(racks))
    return Layout(
        tuple(hosts[home] for home in homes),
        tuple(rack_of[home] for home in homes),
        tuple(hosts),
    )


def layout_without_graph(scenario: Scenario) -> Layout | None:
    """The same for equal hosts, if nothing asks for racks: building a graph takes its time."""
    topology = scenario.topology
    parts: list[Any] = [*scenario.stragglers, *scenario.failures.losses]
    asked = any(
        getattr(part, "racks", None) or getattr(part, "of", "") == "racks" for part in parts
    )
    if asked or not isinstance(topology, EqualHosts):
        return None
    hosts = tuple(rank * topology.hosts // topology.workers for rank in range(topology.workers))
    return Layout(hosts, (0,) * len(hosts), tuple(f"host{i}" for i in range(topology.hosts)))


def slow_links(
    stragglers: Sequence[StragglerModel], graph: nx.Graph[str], layout: Layout, streams: Streams
) -> list[LinkChange]:
    """What the stragglers among the links are from the beginning."""
    changes = []
    for number, model in enumerate(stragglers):
        if isinstance(model, SlowLinks):
            hosts = model.slow_hosts(layout, streams.get("straggler", number))
            # A link between two slow hosts is slow once.
            pairs = {
                tuple(sorted((host, other))): (host, other)
                for host in hosts
                for other in network_links(graph, host)
            }
            changes += [LinkChange(*pair, at=0.0, factor=model.factor) for pair in pairs.values()]
    return changes
