"""Writing figures and comparisons to files, the same bytes every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from analysis.errors import ResultError
from analysis.load import Run
from analysis.plots import draw
from analysis.topology import draw_graph

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "svg": {"Date": None, "Creator": "paceline"},
    "pdf": {"CreationDate": None, "Creator": "paceline", "Producer": None},
}


def save_plots(
    runs: Sequence[Run],
    kinds: Sequence[str],
    formats: Sequence[str],
    folder: Path,
    by: str = "algorithm.kind",
) -> list[Path]:
    """Draw every kind of plot and write it in every format; returns the files.

    Raises
    ------
    ResultError
        If a file cannot be written.
    """
    import matplotlib.style

    written = []
    with matplotlib.style.context(Path(__file__).with_name("paper.mplstyle")):
        for kind in kinds:
            figure = draw(kind, runs, by)
            written += [_save(figure, folder / f"{kind}.{suffix}", suffix) for suffix in formats]
    return written


def _save(figure: Figure, path: Path, suffix: str) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, format=suffix, metadata=_METADATA[suffix])
    except OSError as error:
        raise ResultError(f"{path} cannot be written: {error.strerror}") from None
    return path


def report(
    rows: Sequence[dict[str, Any]], sentences: Sequence[str], plots: Sequence[Path], path: Path
) -> Path:
    """Write a comparison as Markdown: the answer, the table and the pictures."""
    lines = ["# Comparison", "", *[f"- {sentence}" for sentence in sentences], ""]
    if rows:
        lines += [_line(rows[0]), _line(["---"] * len(rows[0]))]
        lines += [_line(_cell(value) for value in row.values()) for row in rows]
    lines += ["", *[f"![{plot.stem}]({plot.name})" for plot in plots if plot.suffix == ".png"], ""]
    try:
        path.write_text("\n".join(lines))
    except OSError as error:
        raise ResultError(f"{path} cannot be written: {error.strerror}") from None
    return path


def _line(cells: Any) -> str:
    return (
        "| " + " | ".join(str(cell).replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"
    )


def _cell(value: Any) -> str:
    return "-" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def save_topology(graph: Mapping[str, Any], path: Path) -> None:
    """Draw a topology into a file; its suffix is the format.

    Raises
    ------
    ResultError
        If there is no such format, or the file cannot be written.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    suffix = path.suffix.lstrip(".")
    if suffix not in _METADATA:
        raise ResultError(f"{path}: no format {path.suffix!r}; known: .{', .'.join(_METADATA)}")
    if not path.absolute().parent.is_dir():
        raise ResultError(f"{path}: there is no folder {path.parent}")
    with matplotlib.style.context(Path(__file__).with_name("paper.mplstyle")):
        figure = Figure(figsize=(7.0, 4.0))
        ax = figure.subplots()
        draw_graph(graph, ax)
        figure.legend(*ax.get_legend_handles_labels(), loc="outside lower center", ncols=5)
        _save(figure, path, suffix)
