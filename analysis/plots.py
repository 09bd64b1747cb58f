"""Plots: functions that draw runs on axes; they neither open files nor show windows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from analysis.errors import ResultError
from analysis.labels import legend, text
from analysis.links import heat_map, over_time
from analysis.load import Run
from analysis.metrics import PARTS, grouped
from analysis.outages import all_outages
from analysis.timeline import COLOURS, STEPS, carriers, panels, timeline

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = "osD^vP*X"
MAX_COLUMNS = 4
LABELS = {
    "test_loss": "held-out loss",
    "test_accuracy": "held-out accuracy",
    "time_s": "simulated time (s)",
    "samples": "samples",
}


def curve(members: Sequence[Run], x: str, y: str, ax: Axes, label: str, number: int) -> Axes:
    """Median over seeds of *y* against *x*, with the range of the seeds as a band."""
    series = []
    for run in members:
        table = run.table("evaluations").dropna(subset=[y])
        if len(table):
            series.append((table[x].to_numpy(float), table[y].to_numpy(float)))
    if not series:
        return ax
    grid = max((xs for xs, _ in series), key=len)
    values = np.array([np.interp(grid, xs, ys, right=math.nan) for xs, ys in series])
    known = ~np.isnan(values).any(0)
    grid, values = grid[known], values[:, known]
    style: dict[str, Any] = {
        "color": f"C{number % 8}",
        "marker": MARKERS[number % len(MARKERS)],
        # staggered, so that curves which coincide can be told apart
        "markevery": (number % 8 * max(1, len(grid) // 64), max(1, len(grid) // 8)),
    }
    ax.plot(grid, np.median(values, 0), label=text(label), rasterized=len(grid) > 5000, **style)
    if len(series) > 1:
        ax.fill_between(
            grid, values.min(0), values.max(0), color=style["color"], alpha=0.2, linewidth=0
        )
    return ax


def curves(runs: Sequence[Run], y: str, figure: Figure, by: str) -> None:
    """*y* against time (above) and samples (below), one column per number of workers."""
    groups = grouped(runs, by)
    counts = sorted({workers for _, workers in groups})
    columns = spread(counts, MAX_COLUMNS)
    if len(columns) < len(counts):
        figure.suptitle(f"{len(columns)} of {len(counts)} numbers of workers", fontsize=8)
    names = list(dict.fromkeys(name for name, _ in groups))
    figure.set_size_inches(2.2 + 2.6 * len(columns), 5.2)
    axes = figure.subplots(2, len(columns), squeeze=False, sharey=True)
    for row, x in enumerate(("time_s", "samples")):
        for column, workers in enumerate(columns):
            ax = axes[row, column]
            for number, name in enumerate(names):
                curve(groups.get((name, workers), []), x, y, ax, name, number)
            ax.set_xlabel(LABELS[x])
            if row == 0:
                ax.set_title(f"{workers} workers{_seeds(groups, workers)}")
            if y == "test_accuracy":
                _target_line(runs, ax)
            else:
                ax.set_yscale("log")
        axes[row, 0].set_ylabel(LABELS[y])
    legend(figure, axes[0, 0])


def spread(values: list[int], most: int) -> list[int]:
    """At most *most* of *values*, evenly spread, the first and last among them.

    >>> spread([1, 2, 3, 4, 5, 6], 3), spread([1, 2], 3)
    ([1, 3, 6], [1, 2])
    """
    if len(values) <= most:
        return values
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]


def _seeds(groups: dict[tuple[str, int], list[Run]], workers: int) -> str:
    most = max(len(members) for (_, n), members in groups.items() if n == workers)
    return f" (n = {most} seeds)" if most > 1 else ""


def _target_line(runs: Sequence[Run], ax: Axes) -> None:
    targets = {run.summary["target_accuracy"] for run in runs} - {None}
    for target in sorted(targets):
        ax.axhline(target, color="0.4", linestyle="--", linewidth=0.8)


def loss(runs: Sequence[Run], figure: Figure, by: str) -> None:
    """Held-out loss against simulated time and against samples."""
    curves(runs, "test_loss", figure, by)


def accuracy(runs: Sequence[Run], figure: Figure, by: str) -> None:
    """Held-out accuracy against simulated time and against samples."""
    curves(runs, "test_accuracy", figure, by)


def target(runs: Sequence[Run], figure: Figure, by: str) -> None:
    """Time to the target accuracy against the number of workers, seeds as error bars."""
    figure.set_size_inches(4.2, 3.4)
    ax = figure.subplots()
    groups = grouped(runs, by)
    missed = []
    for number, name in enumerate(dict.fromkeys(name for name, _ in groups)):
        points = []
        for (other, workers), members in sorted(groups.items(), key=lambda item: item[0][1]):
            times = [run.summary["time_to_target_s"] for run in members]
            if other == name and None in times:
                missed.append(f"{text(name)} ({workers} workers)")
            elif other == name:
                points.append((workers, float(np.median(times)), min(times), max(times)))
        if points:
            x, y, low, high = np.array(points).T
            ax.errorbar(
                x,
                y,
                yerr=[y - low, high - y],
                label=text(name),
                capsize=2,
                color=f"C{number % 8}",
                marker=MARKERS[number % len(MARKERS)],
            )
    ax.set_xlabel("workers")
    ax.set_ylabel("time to target accuracy (s)")
    ax.set_xscale("log", base=2)
    ticks = sorted({workers for _, workers in groups})
    ax.set_xticks(ticks, [str(tick) for tick in ticks])
    ax.minorticks_off()
    ax.set_ylim(bottom=0)
    if len(missed) == len(groups):
        ax.text(0.5, 0.5, "no run reached its target", ha="center", transform=ax.transAxes)
    elif missed:
        ax.set_title("not always reached: " + ",\n".join(missed), fontsize="small", loc="left")
    legend(figure, ax)


def breakdown(runs: Sequence[Run], figure: Figure, by: str) -> None:
    """Stacked bars: seconds of a worker per step, by what it does."""
    groups = sorted(grouped(runs, by).items(), key=lambda item: (item[0][1], item[0][0]))
    figure.set_size_inches(1.8 + 0.55 * len(groups), 3.8)
    ax = figure.subplots()
    bottom = np.zeros(len(groups))
    for part in PARTS:
        heights = np.array(
            [
                np.median(
                    [
                        run.summary["breakdown"][part] / run.summary["steps"]
                        if run.summary["steps"]
                        else 0.0
                        for run in members
                    ]
                )
                for _, members in groups
            ]
        )
        kind = part.removesuffix("_s")
        ax.bar(range(len(groups)), heights, 0.75, bottom=bottom, label=kind, color=COLOURS[kind])
        bottom += heights
    labels = [
        f"{text(name)}\n{workers} workers".replace(", ", "\n") for (name, workers), _ in groups
    ]
    ax.set_xticks(range(len(groups)), labels, rotation=60, ha="right", rotation_mode="anchor")
    ax.set_ylabel("time of a worker per step (s)")
    ax.grid(axis="x", visible=False)
    legend(figure, ax)


def lanes(runs: Sequence[Run], figure: Figure, by: str) -> None:
    """Timelines of the first steps, one panel per candidate at the fewest workers."""
    from matplotlib.patches import Patch

    for ax, name, run in panels(runs, figure, by, lambda run: len(carriers(run))):
        timeline(run, ax)
        workers, steps = run.summary["workers"], run.table("steps")["step"]
        first = min(STEPS, int(steps.max()) + 1) if len(steps) else STEPS
        ax.set_title(f"{text(name)}, {workers} workers: the first {first} steps", loc="left")
    axes = figure.axes
    axes[-1].set_xlim(0, max(ax.dataLim.x1 for ax in axes))  # all share it
    handles = [Patch(color=colour, label=kind) for kind, colour in COLOURS.items()]
    figure.legend(handles=handles, loc="outside lower center", ncols=4)


DRAW: dict[str, Callable[[Sequence[Run], Figure, str], None]] = {
    "loss": loss,
    "accuracy": accuracy,
    "target": target,
    "breakdown": breakdown,
    "timeline": lanes,
    "outages": all_outages,
    "links": heat_map,
    "link-history": over_time,
}


def draw(kind: str, runs: Sequence[Run], by: str = "algorithm.kind") -> Figure:
    """A figure of one kind.

    Raises
    ------
    ResultError
        If there is no such kind or a table is missing.
    """
    from matplotlib.figure import Figure

    if kind not in DRAW:
        raise ResultError(f"no plot {kind!r}; known: {', '.join(DRAW)}")
    figure = Figure()
    DRAW[kind](runs, figure, by)
    return figure
