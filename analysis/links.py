"""Pictures of links: what each carries, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.labels import text
from analysis.load import Run
from analysis.metrics import grouped
from analysis.topology import draw_graph

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_PANELS = 6
MOST_LINES = 6


def _shown(runs: Sequence[Run], by: str) -> list[tuple[str, int, Run]]:
    """One run of every candidate, at the most workers."""
    groups = grouped(runs, by)
    most = max(workers for _, workers in groups)
    chosen = [(name, n, members[0]) for (name, n), members in groups.items() if n == most]
    return chosen[:MOST_PANELS]


def heat_map(runs: Sequence[Run], figure: Figure, by: str) -> None:
    """The topology of every candidate, links coloured by utilisation, at the most workers."""
    shown = _shown(runs, by)
    columns = min(2, len(shown))
    rows = -(-len(shown) // columns)
    figure.set_size_inches(4.2 * columns + 0.6, 2.9 * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False)
    for ax in axes.ravel()[len(shown) :]:
        ax.set_axis_off()
    for ax, (name, workers, run) in zip(axes.ravel(), shown, strict=False):
        links = run.table("links")
        load = {
            (str(source), str(target)): float(used)
            for source, target, used in zip(
                links["source"], links["target"], links["utilisation"], strict=True
            )
        }
        drawn = draw_graph(run.topology(), ax, load)
        ax.set_title(f"{text(name)}, {workers} workers", loc="left")
    bar = figure.colorbar(drawn, ax=axes, shrink=0.7, pad=0.02)
    bar.set_label("utilisation of the busier direction")


def over_time(runs: Sequence[Run], figure: Figure, by: str) -> None:
    """Utilisation over time of the busiest links of every candidate, at the most workers."""
    shown = _shown(runs, by)
    figure.set_size_inches(7.0, 1.7 * len(shown) + 0.5)
    axes = figure.subplots(len(shown), 1, squeeze=False, sharey=True)[:, 0]
    for ax, (name, workers, run) in zip(axes, shown, strict=True):
        _lines(run, ax)
        ax.set_title(f"{text(name)}, {workers} workers", loc="left")
        ax.set_ylabel("utilisation")
        ax.set_ylim(0, 1.05)
    axes[-1].set_xlabel("simulated time (s)")


def _lines(run: Run, ax: Axes) -> None:
    graph = run.topology()
    rates = {}
    for edge in graph["edges"]:
        ends = edge["source"], edge["target"]
        for way in [ends] if graph["directed"] else [ends, ends[::-1]]:
            rates[way] = edge["bandwidth"] / 8
    history: pd.DataFrame = run.table("link_history")
    groups: Any = history.groupby(["source", "target"], sort=False)
    curves: dict[bytes, list[Any]] = {}  # links that are used alike are one curve
    for ends, rows in groups:
        seconds = rows["end_s"].to_numpy() - rows["start_s"].to_numpy()
        used = rows["nbytes"].to_numpy() / seconds / rates[ends]
        curves.setdefault(np.round(used, 6).tobytes(), []).append((ends, used))
    for number, ((first, used), *others) in enumerate([*curves.values()][:MOST_LINES]):
        alike = f" and {len(others)} more alike" if others else ""
        rows = groups.get_group(first)
        edges = [*rows["start_s"], rows["end_s"].iloc[-1]]
        label = text(f"{first[0]} -> {first[1]}{alike}")
        ax.stairs(used, edges, label=label, color=f"C{number}", linewidth=1.0)
    if len(history):
        ax.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=7)
