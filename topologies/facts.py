"""Facts about a topology: sizes, distances, bisection and oversubscription."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from topologies.attributes import KINDS, host_of, levels, nodes_of_kind, worker_nodes

if TYPE_CHECKING:
    import networkx as nx

MAX_BISECTED = 2_000  # hosts
MAX_SPECTRAL, MODES = 1_000, 3  # nodes of which modes are found, and how many
MAX_VISITS = 30_000_000  # link ends looked at to find the diameter, some seconds
RESOLUTION = 1024  # a max-flow of whole numbers ends; bandwidths count in bit/s over this


@dataclass(frozen=True)
class Facts:
    """What a topology is like, in SI units.

    Attributes
    ----------
    nodes
        Numbers of nodes by kind, for kinds that there are.
    links
        Number of links; of a directed graph, of link directions.
    workers
        Number of workers.
    diameter
        Hops of the longest of the shortest routes between hosts with workers.
    max_latency
        Latency of the slowest of these routes, s.  Routes have the fewest hops and among
        these the least latency.
    sampled_from
        Hosts from which distances were measured, or None if from all: then they are exact.
    bisection
        Least bandwidth (bit/s) found between two halves of the hosts (see `bisection`; the
        smaller of an odd number's comes first), each as a minimum cut; None with fewer
        than two hosts or more than 2,000.
    bisection_share
        `bisection` as a share of what the links of one half of the hosts carry together,
        of the half with less: 1 is full bisection bandwidth.
    oversubscription
        (level, ratio) of every level of switches with links upwards: bandwidth towards
        hosts and lower switches over bandwidth towards higher ones.
    """

    nodes: tuple[tuple[str, int], ...]
    links: int
    workers: int
    diameter: int
    max_latency: float
    sampled_from: int | None
    bisection: float | None
    bisection_share: float | None
    oversubscription: tuple[tuple[int, float], ...]


def facts_of(graph: nx.Graph[str]) -> Facts:
    """Facts about a graph that `check` accepts.

    >>> from topologies import TwoLevel
    >>> facts = facts_of(TwoLevel(hosts=8, gpus_per_host=2, oversubscription=4).build())
    >>> facts.nodes, facts.diameter, facts.bisection, facts.bisection_share
    ((('worker', 16), ('host', 8), ('switch', 3)), 4, 10000000000.0, 0.25)
    >>> facts.oversubscription
    ((0, 4.0),)
    """
    counts = {kind: len(nodes_of_kind(graph, kind)) for kind in KINDS}
    diameter, latency, sampled = distances(graph)
    cut, share = bisection(graph)
    return Facts(
        tuple((kind, count) for kind, count in counts.items() if count),
        graph.number_of_edges(),
        len(worker_nodes(graph)),
        diameter,
        latency,
        sampled,
        cut,
        share,
        tuple(oversubscription(graph).items()),
    )


def working_hosts(graph: nx.Graph[str]) -> list[str]:
    """Hosts with workers, in the order of the first rank on each."""
    return list(dict.fromkeys(host_of(graph, node) for node in worker_nodes(graph)))


def distances(graph: nx.Graph[str]) -> tuple[int, float, int | None]:
    """Largest number of hops and largest latency between hosts with workers.

    Returns
    -------
    tuple
        Hops, seconds, and the number of hosts from which they were measured if there
        were too many for all.
    """
    number = {node: index for index, node in enumerate(graph)}
    ahead = [
        [(number[other], float(data["latency"])) for other, data in graph.adj[node].items()]
        for node in graph
    ]
    hosts = [number[host] for host in working_hosts(graph)]
    # With one direction per link, the ways to and from a host may differ.
    sources = hosts if graph.is_directed() else _representatives(hosts, ahead)
    *_, visits = _from(sources[0], ahead)
    sampled = None
    if len(sources) * visits > MAX_VISITS:
        sampled = max(2, MAX_VISITS // visits)
        # evenly from the whole file, first and last included
        step = (len(sources) - 1) / (sampled - 1)
        sources = [sources[round(i * step)] for i in range(sampled)]
    hops, slowest = 0, 0.0
    for source in sources:
        distance, latency, _ = _from(source, ahead)
        hops = max(hops, *(distance[host] for host in hosts))
        slowest = max(slowest, *(latency[host] for host in hosts))
    return hops, slowest, sampled


def _representatives(hosts: list[int], ahead: list[list[tuple[int, float]]]) -> list[int]:
    """One host for all that hang on the same node by links of the same latency.

    Those see the same distances to all others, and the one also sees its siblings.
    """
    leaves = [(host, [link for link in ahead[host] if len(ahead[link[0]]) > 1]) for host in hosts]
    kept = {(tuple(links) if len(links) == 1 else host): host for host, links in reversed(leaves)}
    return list(reversed(kept.values()))


def _from(source: int, ahead: list[list[tuple[int, float]]]) -> tuple[list[int], list[float], int]:
    """Hops and latency of the best route to every node, and how many link ends were seen."""
    hops, latency = [-1] * len(ahead), [0.0] * len(ahead)
    hops[source], frontier, left = 0, [source], len(ahead) - 1
    visits = len(ahead)
    while frontier and left:  # what the last ones lead to is farther for all
        found = []
        for node in frontier:
            far, before = hops[node] + 1, latency[node]
            visits += len(ahead[node])
            for other, along in ahead[node]:
                if hops[other] < 0:
                    hops[other], latency[other] = far, before + along
                    found.append(other)
                elif hops[other] == far and before + along < latency[other]:
                    latency[other] = before + along
        frontier, left = found, left - len(found)
    return hops, latency, visits


def bisection(graph: nx.Graph[str]) -> tuple[float | None, float | None]:
    """Least bandwidth found between two halves of the hosts, bit/s, and its share of the full one.

    The least over all halves is hard to find.  Tried are the first and the second half in
    file order, and halves along the slow modes of the network seen as springs (its
    Laplacian's eigenvectors of small eigenvalue: Fiedler's spectral bisection), which
    separate racks, and planes of a torus.
    """
    hosts = working_hosts(graph)
    if not 2 <= len(hosts) <= MAX_BISECTED:
        return None, None
    cuts = [_cut(graph, hosts, order[: len(hosts) // 2]) for order in _orders(graph, hosts)]
    return min(cuts, key=lambda cut: cut[0])


def _orders(graph: nx.Graph[str], hosts: list[str]) -> list[list[str]]:
    """Orders of the hosts whose first halves are worth a look."""
    inner = [node for node in graph if graph.nodes[node]["kind"] != "worker" or node in {*hosts}]
    if graph.is_directed() or len(inner) > MAX_SPECTRAL:
        return [hosts]
    number = {node: at for at, node in enumerate(inner)}
    laplacian = np.zeros((len(inner), len(inner)))
    for u, v, data in graph.edges(data=True):
        if u in number and v in number:
            i, j, stiffness = number[u], number[v], float(data["bandwidth"])
            laplacian[[i, j], [i, j]] += stiffness
            laplacian[[i, j], [j, i]] -= stiffness
    if not laplacian.any():  # hosts are joined by their GPUs alone
        return [hosts]
    _, modes = np.linalg.eigh(laplacian / laplacian.max())
    places = np.array([number[host] for host in hosts])
    orders = [hosts]
    slow = np.round(modes[places, 1 : 2 + MODES], 9).T
    for mode, following in pairwise(slow):  # symmetric places tie; the next mode tells them apart
        rank = np.lexsort((following, mode))
        orders.append([hosts[at] for at in rank.tolist()])
    return orders


def _cut(graph: nx.Graph[str], hosts: list[str], half: list[str]) -> tuple[float, float | None]:
    """Bandwidth between *half* of the hosts and the others, and as a share of the full one."""
    import networkx as nx

    first = dict.fromkeys(half)
    # The hosts of a half, from which and to which any amount may flow, are one node each.
    side = {host: "first" if host in first else "second" for host in hosts}
    inside = {node: side.get(host_of(graph, node)) for node in graph}
    merged: nx.DiGraph[tuple[str, str]] = nx.DiGraph()
    merged.add_nodes_from([("half", "first"), ("half", "second")])
    full = {"first": 0.0, "second": 0.0}
    for u, v, data in graph.edges(data=True):
        bandwidth = float(data["bandwidth"])
        for a, b in [(u, v)] if graph.is_directed() else [(u, v), (v, u)]:
            if (where := inside[a]) and host_of(graph, a) != host_of(graph, b):
                full[where] += bandwidth
            ends = [("half", side[n]) if n in side else ("node", n) for n in (a, b)]
            if ends[0] != ends[1]:
                kept = merged.get_edge_data(*ends, default={"capacity": 0})["capacity"]
                merged.add_edge(*ends, capacity=kept + round(bandwidth * RESOLUTION))
    flow = nx.maximum_flow_value(merged, ("half", "first"), ("half", "second"))
    cut = flow / RESOLUTION
    smaller = min(full.values())
    return cut, cut / smaller if smaller else None


def oversubscription(graph: nx.Graph[str]) -> dict[int, float]:
    """Bandwidth downwards over bandwidth upwards by level of switches, from level 0 up."""
    level = levels(graph)
    down: dict[int, float] = {}
    up: dict[int, float] = {}
    for node, own in level.items():
        for other, data in graph.adj[node].items():
            above = level.get(other, -1)
            if above != own:
                total = up if above > own else down
                total[own] = total.get(own, 0.0) + float(data["bandwidth"])
    return {own: down.get(own, 0.0) / up[own] for own in sorted(up)}
