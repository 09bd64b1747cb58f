"""``paceline compare`` and ``paceline plot``: they read result folders and nothing else."""

from __future__ import annotations

from pathlib import Path

import click

from simulator.cli.output import plain, print_json, print_table
from simulator.cli.running import AS_JSON

BY = click.option(
    "--by",
    default="algorithm.kind",
    show_default=True,
    help="Setting that tells the candidates apart.",
)


@click.command()
@click.argument("folders", nargs=-1, required=True)
@BY
@click.option(
    "--metric",
    default="time_to_target_s",
    show_default=True,
    help="Number of the summary that decides; the least wins, of accuracy or samples the largest.",
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Also write plots and comparison.md to this folder.",
)
@AS_JSON
def compare(
    folders: tuple[str, ...], by: str, metric: str, out: Path | None, as_json: bool
) -> None:
    """Compare the runs in FOLDERS: who is first, a table and plots."""
    from analysis.load import load
    from analysis.metrics import answers, comparison

    runs = load(folders)
    rows = comparison(runs, by, metric)
    if as_json:
        print_json(rows)
    else:
        for sentence in answers(rows, metric):
            click.echo(plain(sentence))
        print_table(rows)
    if out is not None:
        from analysis.files import report, save_plots
        from analysis.load import drawable

        plots = save_plots(runs, drawable(runs), ["png"], out, by)
        written = [report(rows, answers(rows, metric), plots, out / "comparison.md"), *plots]
        click.echo("written: " + ", ".join(map(str, written)), err=as_json)


def _formats(_: click.Context, __: click.Parameter, value: str) -> list[str]:
    from analysis.kinds import FORMATS

    chosen = value.split(",")
    if wrong := [name for name in chosen if name not in FORMATS]:
        raise click.BadParameter(f"{wrong[0]!r}; known: {', '.join(FORMATS)}")
    return chosen


@click.command()
@click.argument("folders", nargs=-1, required=True)
@click.option(
    "--kind",
    "kinds",
    multiple=True,
    help="Kind of plot, as in paceline list plots; by default all that the runs recorded.",
)
@click.option(
    "--format",
    "formats",
    default="png",
    show_default=True,
    callback=_formats,
    metavar="F,F,...",
    help="Among png, svg, pdf.",
)
@BY
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("plots"),
    show_default=True,
    help="Folder for the pictures.",
)
def plot(
    folders: tuple[str, ...], kinds: tuple[str, ...], formats: list[str], by: str, out: Path
) -> None:
    """Draw the runs in FOLDERS."""
    from analysis.files import save_plots
    from analysis.load import drawable, load

    runs = load(folders)
    for path in save_plots(runs, kinds or drawable(runs), formats, out, by):
        click.echo(path)
