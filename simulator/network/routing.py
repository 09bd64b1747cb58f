"""Routes: shortest by hops, then by latency, spread over equal ones by d-mod-k."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from simulator.errors import TopologyError
from simulator.network.link import Links

if TYPE_CHECKING:
    import networkx as nx

Distance = tuple[int, float]  # hops, then latency


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


class Router:
    """Finds routes on demand and keeps them.

    Among S equally short next hops in file order, number k mod S is taken, where k is
    the index of the target among the nodes of its own kind, so that routes are spread
    evenly and depend on nothing but the file.
    """

    def __init__(self, graph: nx.Graph[str], links: Links):
        self.links = links
        self.host = {node: _host(graph, node) for node in graph}
        self._next: dict[str, list[str]] = {node: list(graph.adj[node]) for node in graph}
        self._previous = (
            self._next
            if not graph.is_directed()
            else {node: list(graph.pred[node]) for node in graph}
        )
        counts: dict[str, int] = {}
        self._number: dict[str, int] = {}
        for node, kind in graph.nodes(data="kind"):
            self._number[node] = counts.get(kind, 0)
            counts[kind] = self._number[node] + 1
        self._routes: dict[tuple[str, str], Route] = {}
        self._distances: dict[str, dict[str, Distance]] = {}

    def route(self, source: str, target: str) -> Route:
        """The route from *source* to *target*, which differ.

        Raises
        ------
        TopologyError
            If there is none.
        """
        found = self._routes.get((source, target))
        if found is None:
            found = self._routes[source, target] = self._find(source, target)
        return found

    def _find(self, source: str, target: str) -> Route:
        nodes = [source]
        # Beyond a node of degree one there is only one way, so the search runs between
        # the switches of both ends and is shared by all hosts of a switch.
        near, tail = target, [target]
        while (
            len(self._previous[near]) == 1 and near != source and self._previous[near][0] != source
        ):
            near = self._previous[near][0]
            tail.append(near)
        distance = self._towards(near)
        if source not in distance:
            raise TopologyError(f"there is no route from {source!r} to {target!r}")
        while nodes[-1] != near:
            nodes.append(self._hop(nodes[-1], distance, self._number[target]))
            if nodes[-1] in tail:  # met the way to the target earlier
                near = nodes[-1]
        nodes += tail[: tail.index(near)][::-1]
        return self._describe(nodes)

    def _hop(self, node: str, distance: dict[str, Distance], number: int) -> str:
        best = [n for n in self._next[node] if n in distance and self._is_hop(node, n, distance)]
        return best[number % len(best)]

    def _is_hop(self, node: str, other: str, distance: dict[str, Distance]) -> bool:
        hops, latency = distance[other]
        along = float(self.links.latency[self.links.index[node, other]])
        return (hops + 1, latency + along) == distance[node]

    def _towards(self, target: str) -> dict[str, Distance]:
        """Distance of every node to *target* (Dijkstra on pairs)."""
        if target in self._distances:
            return self._distances[target]
        distance: dict[str, Distance] = {}
        queue: list[tuple[Distance, int, str]] = [((0, 0.0), 0, target)]
        order = 0
        while queue:
            (hops, latency), _, node = heapq.heappop(queue)
            if node in distance:
                continue
            distance[node] = (hops, latency)
            for other in self._previous[node]:
                if other not in distance:
                    along = float(self.links.latency[self.links.index[other, node]])
                    order += 1
                    heapq.heappush(queue, ((hops + 1, latency + along), order, other))
        self._distances[target] = distance
        return distance

    def _describe(self, nodes: list[str]) -> Route:
        edges = tuple(self.links.index[pair] for pair in pairwise(nodes))
        hosts = [self.host[node] for node in nodes]
        leaving = max(
            (i for i, host in enumerate(hosts[:-1]) if host == hosts[0] != hosts[i + 1]), default=0
        )
        entering = min(
            (i for i, host in enumerate(hosts[1:]) if host == hosts[-1] != hosts[i]),
            default=len(edges) - 1,
        )
        latency, cost = self.links.latency, self.links.seconds_per_byte
        return Route(
            nodes[0],
            nodes[-1],
            edges,
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
