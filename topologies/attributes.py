"""What the nodes and edges of a topology must say, and questions about them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from simulator.errors import TopologyError, escaped, printable
from simulator.units import BitsPerSecond, Seconds

if TYPE_CHECKING:
    import networkx as nx

KINDS = ("worker", "host", "switch", "server", "storage")
DUPLEX = ("full", "half")
SHOWN = 20


@dataclass(frozen=True)
class LinkSpec:
    """Bandwidth (bit/s, in each direction) and latency (s) of one class of links."""

    bandwidth: BitsPerSecond
    latency: Seconds


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


def host_of(graph: nx.Graph[str], node: str) -> str:
    """The host that *node* sits on: itself unless it is a GPU of one."""
    if graph.nodes[node]["kind"] == "worker":
        for other in graph.adj[node]:
            if graph.nodes[other]["kind"] == "host":
                return str(other)
    return node


def levels(graph: nx.Graph[str]) -> dict[str, int]:
    """Level of every switch: 0 next to the hosts, 1 above, and so on.

    What the nodes say counts; where a switch says nothing, its level is the number of
    switches between it and the nearest node that is none.
    """
    switches = nodes_of_kind(graph, "switch")
    given = {node: graph.nodes[node].get("level") for node in switches}
    if all(level is not None for level in given.values()):
        return {node: int(level) for node, level in given.items()}
    found = {node: -1 for node in graph if node not in given}
    frontier = list(found)
    while frontier:
        above = []
        for node in frontier:
            for other in graph.adj[node]:
                if other not in found:
                    found[other] = found[node] + 1
                    above.append(other)
        frontier = above
    return {
        node: int(found.get(node, 0) if level is None else level) for node, level in given.items()
    }


def attach(graph: nx.Graph[str], name: str, kind: str) -> str:
    """Add one extra host of *kind* and return its name.

    It hangs on the first switch with a link like that of the switch's first host (or
    first GPU, where GPUs have NICs of their own); where there is no such switch, host 0
    takes the part.
    """
    hosts, switches = nodes_of_kind(graph, "host"), nodes_of_kind(graph, "switch")
    # A switch inside the only host joins its GPUs and takes no further machine.
    for kind_below in ("host",) if len(hosts) == 1 else ("host", "worker"):
        for switch in switches:
            for neighbour in graph.adj[switch]:
                if graph.nodes[neighbour]["kind"] == kind_below:
                    link: dict[str, Any] = dict(graph.edges[switch, neighbour])
                    graph.add_node(name, kind=kind)
                    graph.add_edge(switches[0], name, **link)
                    if graph.is_directed():
                        back = graph.get_edge_data(neighbour, switch) or link
                        graph.add_edge(name, switches[0], **back)
                    return name
    return (hosts or worker_nodes(graph))[0]


def check(graph: nx.Graph[str]) -> None:
    """Refuse a graph that is no cluster, naming all that is missing.

    Problems of a graph that was read begin with the name of its file, at most 20 are
    told in words.

    Raises
    ------
    TopologyError
        For an unknown kind of node, a missing, zero or infinite bandwidth, a negative
        latency, a link from a node to itself, or a part that cannot be reached.
    """
    source = graph.graph.get("source", "")
    problems = [*_nodes(graph), *_links(graph)]
    if not problems:
        problems = list(islice(_whole(graph), 1))
    raise_problems(problems, f"{escaped(source)}: " if source else "")


def raise_problems(problems: Sequence[str], place: str = "", untold: int = 0) -> None:
    """Raise `TopologyError` with the first 20 of *problems* and the number of the others.

    *untold* problems have been counted but not kept.
    """
    if problems:
        lines = [f"{place}{problem}" for problem in problems[:SHOWN]]
        if (hidden := len(problems) - len(lines) + untold) > 0:
            lines.append(f"... and {hidden:,} more problems")
        raise TopologyError("\n".join(lines))


def _nodes(graph: nx.Graph[str]) -> Iterator[str]:
    for node, kind in graph.nodes(data="kind"):
        if kind not in KINDS:
            yield f"node {printable(node)} has kind {printable(kind)}; known: {', '.join(KINDS)}"


def _links(graph: nx.Graph[str]) -> Iterator[str]:
    for u, v, data in graph.edges(data=True):
        edge = f"link {printable(u)} - {printable(v)}"
        if u == v:
            yield f"{edge} connects a node with itself"
        bandwidth, latency = data.get("bandwidth"), data.get("latency")
        if not (_is_number(bandwidth) and 0 < bandwidth < math.inf):
            yield f"{edge} needs a positive bandwidth in bit/s, not {printable(bandwidth)}"
        if not (_is_number(latency) and 0 <= latency < math.inf):
            yield f"{edge} needs a latency in s, not {printable(latency)}"
        if data.get("duplex", "full") not in DUPLEX:
            yield f"{edge} has duplex {printable(data['duplex'])}; known: {', '.join(DUPLEX)}"


def _is_number(value: Any) -> bool:
    """Whether *value* is a number; numpy's count, truth values do not."""
    return hasattr(value, "__float__") and not isinstance(value, str | bool)


def _whole(graph: nx.Graph[str]) -> Iterator[str]:
    """What is wrong with the graph as a whole."""
    import networkx as nx

    if not worker_nodes(graph):
        yield "there is no node of kind 'worker' or 'host' to work on"
        return
    first = next(iter(graph))
    reached = nx.descendants(graph, first) | {first}
    for node in graph:
        if node not in reached:
            yield f"{printable(node)} cannot be reached from {printable(first)}"
    if graph.is_directed():
        reaching = nx.ancestors(graph, first) | {first}
        for node in graph:
            if node not in reaching:
                yield f"{printable(first)} cannot be reached from {printable(node)}"
