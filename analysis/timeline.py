"""Timelines: what every worker does, as lanes of coloured bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from analysis.load import Run
from analysis.metrics import grouped

if TYPE_CHECKING:
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
MAX_PANELS = 6


def timeline(run: Run, ax: Axes) -> Axes:
    """Draw the first steps of *run*: a thick bar for a worker, a thin one for what runs beside.

    Thin bars are hidden transfers, loaders and communicators.
    """
    spans, steps = run.table("spans"), run.table("steps")
    until = steps.loc[steps["step"] < STEPS, "end_s"].max() if len(steps) else spans["end_s"].max()
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
                    label=kind if lane == "worker" else None,
                )
    ax.set_ylabel("worker")
    ax.set_yticks(sorted(set(spans["worker"])))
    ax.invert_yaxis()
    ax.set_xlim(0, until)
    ax.grid(axis="y", visible=False)
    return ax


def panels(runs: Sequence[Run], figure: Figure, by: str) -> Iterator[tuple[Axes, str, Run]]:
    """A panel for each candidate's first seed at the fewest workers, over a common time."""
    groups = grouped(runs, by)
    fewest = min(workers for _, workers in groups)
    shown = [(name, one[0]) for (name, workers), one in groups.items() if workers == fewest]
    shown = shown[:MAX_PANELS]
    rows = min(fewest, MAX_WORKERS)
    figure.set_size_inches(7.0, len(shown) * (0.7 + 0.16 * rows) + 0.5)
    axes = figure.subplots(len(shown), 1, squeeze=False, sharex=True)[:, 0]
    axes[-1].set_xlabel("simulated time (s)")
    for ax, (name, run) in zip(axes, shown, strict=True):
        yield ax, name, run
