"""Outages: when workers were lost, how long they were away, and what they had to repeat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from analysis.errors import ResultError
from analysis.labels import legend, text
from analysis.load import Run
from analysis.timeline import MAX_WORKERS, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PARTS = {"present": "#56B4E9", "away": "#DDDDDD", "repeating lost steps": "#D55E00"}


def outages(run: Run, ax: Axes) -> Axes:
    """Draw a bar per worker over the whole run, cut where the worker was away."""
    table = run.table("outages")
    workers, end = min(run.summary["workers"], MAX_WORKERS), run.summary["simulated_time_s"]
    table = table[table["worker"] < workers]
    # One that never came back is away until the end.
    back = table["back_s"].fillna(end).clip(upper=end)
    redone = table["redone_s"].clip(upper=back - table["lost_s"])
    bars = {
        "present": (range(workers), [end] * workers, [0.0] * workers),
        "away": (table["worker"], back - table["lost_s"], table["lost_s"]),
        "repeating lost steps": (table["worker"], redone, back - redone),
    }
    for name, colour in PARTS.items():
        rows, width, left = bars[name]
        ax.barh(rows, width, 0.6, left, color=colour, linewidth=0, label=name)
    ax.set_ylabel("worker")
    ax.set_yticks(range(workers))
    ax.invert_yaxis()
    ax.grid(axis="y", visible=False)
    return ax


def all_outages(runs: Sequence[Run], figure: Figure, by: str) -> None:
    """Outages of every candidate's first seed at the fewest workers, a panel each.

    Raises
    ------
    ResultError
        If nobody could be lost in any of *runs*.
    """
    able = [run for run in runs if run.has("outages")]
    if not able:
        raise ResultError("no run has a table 'outages'; its scenario has no failures.losses")
    end = 0.0
    for ax, name, run in panels(able, figure, by):
        outages(run, ax)
        end = max(end, run.summary["simulated_time_s"])
        count = len(run.table("outages"))
        losses = "1 loss" if count == 1 else f"{count} losses"
        ax.set_title(f"{text(name)}, {run.summary['workers']} workers: {losses}", loc="left")
    figure.axes[-1].set_xlim(0, end)
    legend(figure, figure.axes[0])
