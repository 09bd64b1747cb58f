"""What the nodes and edges of a topology must say, and questions about them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from simulator.errors import TopologyError, printable

if TYPE_CHECKING:
    import networkx as nx

KINDS = ("worker", "host", "switch", "server", "storage")


def nodes_of_kind(graph: nx.Graph[str], kind: str) -> list[str]:
    """Nodes of one kind in file order."""
    return [node for node, found in graph.nodes(data="kind") if found == kind]


def worker_nodes(graph: nx.Graph[str]) -> list[str]:
    """Where the workers run, in rank order: on GPUs host by host, or else on the hosts."""
    hosts = nodes_of_kind(graph, "host")
    if not nodes_of_kind(graph, "worker"):
        return hosts
    on_hosts = [
        node for host in hosts for node in graph.adj[host] if graph.nodes[node]["kind"] == "worker"
    ]
    return list(dict.fromkeys(on_hosts + nodes_of_kind(graph, "worker")))


def attach(graph: nx.Graph[str], name: str, kind: str) -> str:
    """Add one extra host of *kind* and return its name.

    It hangs on the first switch with a link like that of the switch's first host;
    where there is no switch, host 0 takes the part.
    """
    switches = nodes_of_kind(graph, "switch")
    for switch in switches:
        for neighbour in graph.adj[switch]:
            if graph.nodes[neighbour]["kind"] == "host":
                link: dict[str, Any] = dict(graph.edges[switch, neighbour])
                graph.add_node(name, kind=kind)
                graph.add_edge(switches[0], name, **link)
                return name
    return nodes_of_kind(graph, "host")[0]


def check(graph: nx.Graph[str]) -> None:
    """Refuse a graph that is no cluster, naming all that is missing.

    Raises
    ------
    TopologyError
        For an unknown kind of node, a missing, zero or infinite bandwidth, a negative
        latency, a link from a node to itself, or a part that cannot be reached.
    """
    import networkx as nx

    problems = [
        f"node {printable(node)} has kind {printable(kind)}; known: {', '.join(KINDS)}"
        for node, kind in graph.nodes(data="kind")
        if kind not in KINDS
    ]
    for u, v, data in graph.edges(data=True):
        edge = f"link {printable(u)} - {printable(v)}"
        if u == v:
            problems.append(f"{edge} connects a node with itself")
        if not 0 < data.get("bandwidth", 0) < math.inf:
            problems.append(
                f"{edge} needs a positive bandwidth in bit/s, "
                f"not {printable(data.get('bandwidth'))}"
            )
        if not 0 <= data.get("latency", -1) < math.inf:
            problems.append(f"{edge} needs a latency in s, not {printable(data.get('latency'))}")
    if not problems and not worker_nodes(graph):
        problems.append("there is no node of kind 'worker' or 'host' to work on")
    if not problems and len(
        reached := nx.node_connected_component(graph.to_undirected(), next(iter(graph)))
    ) < len(graph):
        apart = next(node for node in graph if node not in reached)
        problems.append(f"{printable(apart)} cannot be reached from {printable(next(iter(graph)))}")
    if problems:
        raise TopologyError("\n".join(problems))
