"""A topology as the arrays that routes are found on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from simulator.network.compiled.graph import NONE, Wiring, strip
from simulator.network.link import Links

if TYPE_CHECKING:
    import networkx as nx

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Neighbours = dict[str, list[str]]

MOST_UNITS = 2.0**62


def wire(graph: nx.Graph[str], links: Links) -> Wiring:
    """Neighbours, the trees that hang off the core, and latencies, as arrays."""
    number = {node: at for at, node in enumerate(graph)}
    outward = {node: list(graph.adj[node]) for node in graph}
    inward = outward
    if graph.is_directed():
        inward = {node: list(graph.pred[node]) for node in graph}
    beside = {node: list(dict.fromkeys(outward[node] + inward[node])) for node in graph}
    parent, depth, anchor = strip(*_listed(beside, number))
    up, down = _ways_up_and_down(list(graph), parent, links.index)
    out_edges = [links.index[node, other] for node in graph for other in outward[node]]
    in_edges = [links.index[other, node] for node in graph for other in inward[node]]
    return Wiring(
        *_listed(outward, number),
        np.array(out_edges, np.int64),
        *_listed(inward, number),
        np.array(in_edges, np.int64),
        whole(links.latency, len(parent)),
        parent,
        up,
        down,
        depth,
        anchor,
        np.array([number[target] for _, target in links.ends], np.int64),
        _numbered_by_kind(graph),
    )


def whole(latency: Floats, hops: int) -> Ints:
    """*latency* in units so small that they do not matter, and whole: sums are exact.

    Femtoseconds, unless *hops* times the longest one would leave the integers.

    >>> whole(np.array([1e-6, 2.5e-6]), 10).tolist()
    [1000000000, 2500000000]
    """
    longest = float(latency.max(initial=0.0)) * (hops + 1)
    scale = 1e15 if longest * 1e15 < MOST_UNITS else MOST_UNITS / longest
    return np.rint(latency * scale).astype(np.int64)


def _listed(neighbours: Neighbours, number: dict[str, int]) -> tuple[Ints, Ints]:
    """Where each list of neighbours begins in the array of them all."""
    lengths = [len(nodes) for nodes in neighbours.values()]
    flat = [number[node] for nodes in neighbours.values() for node in nodes]
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64), np.array(flat, np.int64)


def _ways_up_and_down(
    nodes: list[str], parent: Ints, index: dict[tuple[str, str], int]
) -> tuple[Ints, Ints]:
    """The directions between each stripped node and its parent; NONE if there is none."""
    up, down = np.full(len(nodes), NONE), np.full(len(nodes), NONE)
    for child in np.flatnonzero(parent != NONE).tolist():
        ends = nodes[child], nodes[parent[child]]
        up[child] = index.get(ends, NONE)
        down[child] = index.get(ends[::-1], NONE)
    return up, down


def _numbered_by_kind(graph: nx.Graph[str]) -> Ints:
    """Index of each node among those of its own kind."""
    counts: dict[str, int] = {}
    numbers = []
    for _, kind in graph.nodes(data="kind"):
        numbers.append(counts.get(kind, 0))
        counts[kind] = numbers[-1] + 1
    return np.array(numbers, np.int64)
