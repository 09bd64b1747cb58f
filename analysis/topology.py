"""Pictures of topologies: nodes where they lie, links coloured by what they carry."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.labels import text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection

LOOKS = {  # marker, size in points, colour
    "switch": ("s", 6.0, "#444444"),
    "host": ("o", 5.0, "#0072B2"),
    "worker": ("o", 2.6, "#56B4E9"),
    "server": ("D", 5.0, "#D55E00"),
    "storage": ("h", 6.0, "#CC79A7"),
}
MOST_NODES = 3_000  # of a picture; of a larger cluster its switches are drawn
MOST_NAMES = 40
Load = Mapping[tuple[str, str], float]


def draw_graph(graph: Mapping[str, Any], ax: Axes, load: Load | None = None) -> LineCollection:
    """Draw *graph* on *ax*; returns the links, for a colour bar.

    Parameters
    ----------
    graph
        As `topology.json.gz` in a result folder has it.
    load
        Utilisation by (source, target) of link directions; a link shows the larger of its
        two.  Without it all links look alike, thicker with more bandwidth.
    """
    from matplotlib.collections import LineCollection

    nodes = {node["id"]: node for node in graph["nodes"]}
    if len(nodes) > MOST_NODES:
        nodes = {name: node for name, node in nodes.items() if node["kind"] == "switch"} or nodes
        ax.set_title(
            f"only the {len(nodes):,} switches of {len(graph['nodes']):,} nodes", loc="left"
        )
    edges = [e for e in graph["edges"] if e["source"] in nodes and e["target"] in nodes]
    ends = [
        [(nodes[e[end]]["x"], nodes[e[end]]["y"]) for end in ("source", "target")] for e in edges
    ]
    if load is None:
        links = LineCollection(ends, colors="#999999", linewidths=_widths(edges), zorder=1)
    else:
        shown = np.array([_utilisation(load, e) for e in edges])
        links = LineCollection(
            ends, cmap="inferno_r", linewidths=1.0 + 2.5 * shown, zorder=1, array=shown
        )
        links.set_clim(0.0, 1.0)
    ax.add_collection(links)
    for kind, (marker, size, colour) in LOOKS.items():
        own = [node for node in nodes.values() if node["kind"] == kind]
        scale = min(1.0, math.sqrt(200 / max(1, len(nodes))))
        if own:
            ax.plot(
                [node["x"] for node in own],
                [node["y"] for node in own],
                linestyle="",
                marker=marker,
                markersize=max(1.5, size * scale),
                color=colour,
                label=kind,
                zorder=2,
            )
    _names(ax, nodes)
    ax.set_axis_off()
    ax.margins(0.08, 0.12)
    return links


def _widths(edges: list[Any]) -> list[float]:
    """Line widths that grow with the logarithm of the bandwidth."""
    rates = [math.log10(edge["bandwidth"]) for edge in edges]
    least = min(rates, default=0.0)
    return [min(4.0, 0.8 + 0.8 * (rate - least)) for rate in rates]


def _utilisation(load: Load, edge: Mapping[str, Any]) -> float:
    ends = edge["source"], edge["target"]
    return max(load.get(ends, 0.0), load.get(ends[::-1], 0.0))


def _names(ax: Axes, nodes: Mapping[str, Any]) -> None:
    """Names of the nodes if there is room for them, or of the switches."""
    named = [node for node in nodes.values() if node["kind"] != "worker"]
    if len(named) > MOST_NAMES:
        named = [node for node in named if node["kind"] == "switch"]
    if len(named) > MOST_NAMES:
        return
    from matplotlib.patheffects import withStroke

    size = min(6.0, 4.0 + 40.0 / len(named)) if named else 6.0
    for node in named:
        ax.annotate(
            text(node["id"]),
            (node["x"], node["y"]),
            xytext=(0, 5),
            textcoords="offset points",
            ha="center",
            fontsize=size,
            zorder=3,
            path_effects=[withStroke(linewidth=1.5, foreground="white")],
        )
