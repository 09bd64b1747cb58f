"""Where the nodes of a topology lie in a picture of it.

Builders of networks without levels give `pos` (x, y) to their nodes; nodes of trees have
a `level` and are drawn in rows, hosts at the bottom.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

from topologies.attributes import levels

if TYPE_CHECKING:
    import networkx as nx

Point = tuple[float, float]


def circle(
    count: int, radius: float = 1.0, centre: Point = (0.0, 0.0), turned: float = 0.0
) -> list[Point]:
    """*count* points on a circle, clockwise from the top, *turned* by a part of a turn.

    >>> circle(4)
    [(0.0, 1.0), (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0)]
    """
    turns = [2 * math.pi * (i / count + turned) for i in range(count)]
    return [
        # six digits are finer than any pixel; adding 0.0 turns -0.0 into 0.0
        (
            round(centre[0] + radius * math.sin(turn), 6) + 0.0,
            round(centre[1] + radius * math.cos(turn), 6) + 0.0,
        )
        for turn in turns
    ]


def grid(coordinates: tuple[int, ...]) -> Point:
    """Point of a node of a torus; the first of three coordinates goes into the depth.

    >>> grid((1, 2)), grid((1, 0, 0))
    ((2.0, -1.0), (0.35, 0.25))
    """
    *depth, row, column = coordinates
    back = depth[0] if depth else 0
    return column + 0.35 * back, -row + 0.25 * back


def positions(graph: nx.Graph[str]) -> dict[str, Point]:
    """Position of every node, in file order.

    Nodes with `pos` lie there, GPUs and other nodes that hang on one of them around it.
    Where a node that is no such leaf has none, all lie in rows by level; a graph without
    switches lies on a circle.

    Returns
    -------
    dict
        (x, y) by node; the unit is the distance of neighbours, more or less.
    """
    placed = {node: (float(pos[0]), float(pos[1])) for node, pos in graph.nodes(data="pos") if pos}
    if placed and _around(graph, placed):
        return {node: placed[node] for node in graph}
    level = levels(graph)
    if not level:
        inner = [node for node in graph if graph.nodes[node]["kind"] != "worker"] or list(graph)
        placed = dict(zip(inner, circle(len(inner)), strict=True))
        _around(graph, placed)
        return {node: placed.get(node, (0.0, 0.0)) for node in graph}
    return _rows(graph, level)


def _around(graph: nx.Graph[str], placed: dict[str, Point]) -> bool:
    """Place nodes that hang on a placed one around it, and so on; false if some hang on none."""
    radius = 0.3 * _spacing(placed.values())
    while len(placed) < len(graph):
        waiting: dict[str, list[str]] = {}
        for node in graph:
            if node not in placed:
                anchor = next((other for other in graph.adj[node] if other in placed), None)
                if anchor is not None:
                    waiting.setdefault(anchor, []).append(node)
        if not waiting:
            return False
        for anchor, nodes in waiting.items():
            points = circle(len(nodes), radius, placed[anchor], turned=0.1)
            placed.update(zip(nodes, points, strict=True))
        radius *= 0.35
    return True


def _spacing(points: Iterable[Point]) -> float:
    """Smallest distance of two neighbours in the order given."""
    gaps = [math.dist(a, b) for a, b in pairwise(points)]
    return min((gap for gap in gaps if gap > 0), default=1.0)


def _rows(graph: nx.Graph[str], level: dict[str, int]) -> dict[str, Point]:
    """Workers at y = -2 (if any), hosts at -1, switches of level n at n.

    A node lies above the middle of what hangs below it, and rows are spread evenly in
    the order of these middles, so that links cross little.
    """
    row = {node: level.get(node, -1) for node in graph}
    for node, kind in graph.nodes(data="kind"):
        if kind == "worker" and any(graph.nodes[o]["kind"] == "host" for o in graph.adj[node]):
            row[node] = -2
    by_row: dict[int, list[str]] = {}
    for node in graph:
        by_row.setdefault(row[node], []).append(node)
    width = float(max(map(len, by_row.values())))
    x: dict[str, float] = {}
    for number in sorted(by_row):
        nodes = by_row[number]
        middle: dict[str, float] = {}
        for node in nodes:
            below = [x[other] for other in graph.adj[node] if row[other] < number and other in x]
            if below:
                middle[node] = sum(below) / len(below)
        bare = [node for node in nodes if middle and number < 0 and node not in middle]
        for node in bare:  # a server, the last node of the file, stands beside its rack
            above = [other for other in graph.adj[node] if row[other] > number]
            beside = [middle[o] for other in above for o in graph.adj[other] if o in middle]
            if beside:
                middle[node] = max(beside)
        order = sorted(nodes, key=lambda node: middle.get(node, math.inf)) if middle else nodes
        for place, node in enumerate(order):
            x[node] = width * (place + 0.5) / len(nodes)
    return {node: (x[node], float(row[node])) for node in graph}
