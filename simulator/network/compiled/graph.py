"""A topology as arrays, and what hangs off it like leaves."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.compiling import compiled, uncounted

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
NONE = -1


class Wiring(NamedTuple):
    """A topology as arrays; V nodes, E link directions.

    Attributes
    ----------
    out_first, out_node, out_edge
        Neighbours of node v, in file order, and the directions towards them: entries
        ``out_first[v]`` to ``out_first[v + 1]``.
    in_first, in_node, in_edge
        The same for the directions that come from the neighbours.
    delay
        Latency of a direction in whole units, so that equal sums are equal, shape (E,).
    parent, up, down, depth, anchor
        For a stripped node the node that it hangs on, the directions to and from it
        (NONE if there is none), how far it hangs from the core, and where; a core node
        is its own anchor at depth 0.  Shape (V,).
    head
        Node that a direction leads to, shape (E,).
    number
        Index of a node among those of its kind, shape (V,).
    """

    out_first: Ints
    out_node: Ints
    out_edge: Ints
    in_first: Ints
    in_node: Ints
    in_edge: Ints
    delay: Ints
    parent: Ints
    up: Ints
    down: Ints
    depth: Ints
    anchor: Ints
    head: Ints
    number: Ints


@compiled
def strip(first: Ints, node: Ints) -> tuple[Ints, Ints, Ints]:
    """Parent, depth and anchor of every node; entries are the distinct neighbours of each."""
    count = len(first) - 1
    parent, depth = np.full(count, NONE), np.zeros(count, np.int64)
    degree = first[1:] - first[:-1]
    queue = np.empty(count, np.int64)
    tail = 0
    for v in range(count):
        if degree[v] == 1:
            queue[tail] = v
            tail += 1
    head = 0
    while head < tail:
        v = queue[head]
        head += 1
        if degree[v] != 1:  # the last of a tree: it stays
            continue
        for at in range(first[v], first[v + 1]):
            other = node[at]
            if parent[other] != v and degree[other] > 0:
                parent[v] = other
                degree[v] = 0
                degree[other] -= 1
                if degree[other] == 1:
                    queue[tail] = other
                    tail += 1
                break
    anchor = np.arange(count)
    for at in range(tail - 1, -1, -1):  # a parent is stripped after its children
        v = queue[at]
        if parent[v] != NONE:
            depth[v] = depth[parent[v]] + 1
            anchor[v] = anchor[parent[v]]
    return parent, depth, anchor


@compiled
def along(values: Floats, first: Ints, length: Ints, edges: Ints) -> Floats:
    """Sum of *values* over the directions of each message, in their order."""
    result = np.zeros(len(first))
    for m in range(len(first)):
        for at in range(first[m], first[m] + length[m]):
            result[m] += values[edges[at]]
    return result


@uncounted
def mixed(value: int) -> int:
    """A number below 2**31 that looks random (the finaliser of splitmix64, cut)."""
    bits = np.uint64(value) + np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return int((bits ^ (bits >> np.uint64(31))) >> np.uint64(33))
