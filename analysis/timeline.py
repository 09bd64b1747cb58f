"""Timelines: what every worker does, as lanes of coloured bars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.load import Run
from analysis.metrics import grouped

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = {"compute": "#0072B2", "io": "#E69F00", "communication": "#009E73", "idle": "#DDDDDD"}
HEIGHTS = {
    "worker": (-0.4, 0.55),
    "overlap": (0.17, 0.2),
    "loader": (0.17, 0.2),
    "communicator": (0.17, 0.2),
}
STEPS = 6
MAX_WORKERS = 16
MAX_CARRIERS = 6
MAX_PANELS = 6


def timeline(run: Run, ax: Axes) -> Axes:
    """Draw the first steps of *run*: a thick bar for a worker, a thin one for what runs beside.

    Thin bars are hidden transfers, loaders and communicators.  Below the workers is what was
    under way for servers, groups and pairs of workers, whether anybody waited for it or not:
    the darker, the more at once.
    """
    spans, until, carried = run.table("spans"), shown_until(run), carriers(run)
    spans = spans[(spans["start_s"] < until) & (spans["worker"] < MAX_WORKERS)]
    for kind, colour in COLOURS.items():
        for lane, (offset, height) in HEIGHTS.items():
            part = spans[(spans["kind"] == kind) & (spans["lane"] == lane)]
            if len(part):
                start = part["start_s"].to_numpy()
                width = np.minimum(part["end_s"].to_numpy(), until) - start
                ax.barh(
                    part["worker"] + offset,
                    width,
                    height,
                    start,
                    align="edge",
                    color=colour,
                    linewidth=0,
                )
    workers = sorted(set(spans["worker"]))
    for row, part in enumerate(carried.values(), start=len(workers)):
        begin, end = (part[name].to_numpy().clip(max=until) for name in ("start_s", "end_s"))
        colour = COLOURS["communication"]
        ax.barh([row] * len(part), end - begin, 0.5, begin, color=colour, linewidth=0, alpha=0.4)
    ax.set_ylabel("worker")
    ax.set_yticks(range(len(workers) + len(carried)), [*map(str, workers), *carried])
    ax.invert_yaxis()
    ax.set_xlim(0, until)
    ax.grid(axis="y", visible=False)
    return ax


def shown_until(run: Run) -> float:
    """The end of the first steps of *run*, s."""
    steps = run.table("steps")
    if not len(steps):
        return float(run.table("spans")["end_s"].max())
    return float(steps.loc[steps["step"] < STEPS, "end_s"].max())


def carriers(run: Run) -> dict[str, pd.DataFrame]:
    """First transfers of *run* by what they are for: a server, a group, workers' messages."""
    if not run.has("messages"):
        return {}
    table = run.table("messages")
    table = table[table["start_s"] < shown_until(run)]
    source, target, kind = table["source"], table["target"], table["kind"]
    name = kind.mask(target.isna() | (kind == "pull"), source).mask(kind == "push", target)
    return {str(one): table[name == one] for one in list(dict.fromkeys(name))[:MAX_CARRIERS]}


def panels(
    runs: Sequence[Run], figure: Figure, by: str, more: Callable[[Run], int] = lambda run: 0
) -> Iterator[tuple[Axes, str, Run]]:
    """A panel for each candidate's first seed at the fewest workers, over a common time.

    It has a row for each worker, and *more* rows.
    """
    groups = grouped(runs, by)
    fewest = min(workers for _, workers in groups)
    shown = [(name, one[0]) for (name, workers), one in groups.items() if workers == fewest]
    shown = shown[:MAX_PANELS]
    heights = [0.7 + 0.16 * (min(fewest, MAX_WORKERS) + more(run)) for _, run in shown]
    figure.set_size_inches(7.0, sum(heights) + 0.5)
    ratios = {"height_ratios": heights}
    axes = figure.subplots(len(shown), 1, squeeze=False, sharex=True, gridspec_kw=ratios)[:, 0]
    axes[-1].set_xlabel("simulated time (s)")
    for ax, (name, run) in zip(axes, shown, strict=True):
        yield ax, name, run
