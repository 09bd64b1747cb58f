"""Routes: shortest by hops, then by latency, spread over equally short ones by a policy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import TopologyError, printable, suggestion
from simulator.network.link import Links

if TYPE_CHECKING:
    import networkx as nx

    from simulator.network.compiled.graph import Wiring

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

POLICIES = ("d-mod-k", "flow-hash")


@dataclass(frozen=True, eq=False)
class Route:
    """The link directions from one node to another.

    Attributes
    ----------
    edges
        Numbers of the link directions, in order.
    latency
        Sum over the route, s.
    seconds_per_byte
        Of the narrowest direction.
    egress, ingress
        Directions in which messages queue: the last one inside the reach of the source
        host (its NIC) and the first one inside that of the target host.
    """

    source: str
    target: str
    edges: tuple[int, ...]
    latency: float
    seconds_per_byte: float
    egress: int
    ingress: int


class Routes(NamedTuple):
    """Routes of many messages.

    Attributes
    ----------
    first, length
        Message m uses ``edges[first[m] : first[m] + length[m]]``, shape (M,).
    edges
        Numbers of link directions.
    latency
        Seconds, shape (M,).
    """

    first: Ints
    length: Ints
    edges: Ints
    latency: Floats


class Router:
    """Finds routes on demand and keeps those that are asked for one by one.

    Among S equally short next hops in file order, ``d-mod-k`` takes number k mod S, where
    k is the index of the target among the nodes of its own kind: routes are spread evenly
    and depend on nothing but the file.  ``flow-hash`` takes the one that a hash of source,
    target and switch gives, as routers with equal-cost multi-path do.

    Parameters
    ----------
    graph, links
        The topology and its link directions.
    policy
        One of `POLICIES`.
    """

    def __init__(self, graph: nx.Graph[str], links: Links, policy: str = "d-mod-k"):
        self.links, self.graph, self._by_target = links, graph, policy == "d-mod-k"
        self.host = {node: _host(graph, node) for node in graph}
        self.nodes = list(graph)
        self.node_number = {node: number for number, node in enumerate(self.nodes)}
        self._routes: dict[tuple[str, str], Route] = {}

    def route(self, source: str, target: str) -> Route:
        """The route from *source* to *target*, which differ.

        Raises
        ------
        TopologyError
            If there is none.
        """
        found = self._routes.get((source, target))
        if found is None:
            edges = self.routes([source], [target]).edges.tolist()
            found = self._routes[source, target] = self._describe(source, target, edges)
        return found

    def routes(self, sources: Sequence[str], targets: Sequence[str]) -> Routes:
        """Routes from each of *sources* to the target at the same position.

        From a node to itself it has no directions.

        Raises
        ------
        TopologyError
            If there is none for one of them.
        """
        return self.routes_between(self.numbers(sources), self.numbers(targets))

    def numbers(self, nodes: Sequence[str]) -> Ints:
        """Numbers of *nodes* in file order.

        Raises
        ------
        TopologyError
            If there is no such node.
        """
        try:
            return np.array([self.node_number[node] for node in nodes], np.int64)
        except KeyError as error:
            hint = suggestion(str(error.args[0]), self.nodes[:2000])
            raise TopologyError(f"there is no node {printable(error.args[0])}; {hint}") from None

    def routes_between(self, sources: Ints, targets: Ints) -> Routes:
        """As `routes`, for numbers of nodes in file order."""
        from simulator.network.compiled import graph, routes

        first, length, edges, lost = routes.trace(self._wiring, sources, targets, self._by_target)
        if lost != graph.NONE:
            source, target = self.nodes[sources[lost]], self.nodes[targets[lost]]
            raise TopologyError(
                f"there is no route from {printable(source)} to {printable(target)}"
            )
        latency = graph.along(self.links.latency, first, length, edges)
        return Routes(first, length, edges, latency)

    @cached_property
    def _wiring(self) -> Wiring:
        from simulator.network.wiring import wire

        return wire(self.graph, self.links)

    def _describe(self, source: str, target: str, edges: list[int]) -> Route:
        ends = self.links.ends
        hosts = [self.host[source], *(self.host[ends[edge][1]] for edge in edges)]
        leaving = max(
            (i for i, host in enumerate(hosts[:-1]) if host == hosts[0] != hosts[i + 1]), default=0
        )
        entering = min(
            (i for i, host in enumerate(hosts[1:]) if host == hosts[-1] != hosts[i]),
            default=len(edges) - 1,
        )
        latency, cost = self.links.latency, self.links.seconds_per_byte
        return Route(
            source,
            target,
            tuple(edges),
            sum(float(latency[e]) for e in edges),
            max(float(cost[e]) for e in edges),
            edges[leaving],
            edges[entering],
        )


def _host(graph: nx.Graph[str], node: str) -> str:
    """The host that *node* sits on: itself unless it is a GPU of one."""
    if graph.nodes[node]["kind"] == "worker":
        for other in graph.adj[node]:
            if graph.nodes[other]["kind"] == "host":
                return str(other)
    return node
