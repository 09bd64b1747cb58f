"""Text in pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def text(name: object) -> str:
    """*name* as matplotlib should show it: no mathematics in it.

    >>> text("a$b$")
    'a\\\\$b\\\\$'
    """
    return str(name).replace("$", r"\$")


def legend(figure: Figure, ax: Axes) -> None:
    """A legend below all axes, of what *ax* shows."""
    handles, labels = ax.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=min(4, len(labels)))
