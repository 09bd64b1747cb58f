"""Printing: tables, JSON and remarks, safe for any text."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from simulator.errors import escaped

if TYPE_CHECKING:
    from rich.console import Console


def plain(value: Any) -> str:
    """*value* as a cell: numbers short, control characters escaped, nothing lost.

    >>> plain(0.123456), plain(None), plain("a\\x1b[0m")
    ('0.1235', '-', 'a\\\\x1b[0m')
    """
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    return escaped(str(value))


def print_json(document: Any) -> None:
    """Exactly one JSON document on standard output."""
    click.echo(json.dumps(document, indent=2, allow_nan=False))


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows with equal keys as a table on standard output."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for name in rows[0] if rows else []:
        numeric = all(_is_number(row[name]) for row in rows)
        table.add_column(Text(name), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(value)) for value in row.values()))
    console(sys.stdout).print(table)


def _is_number(value: Any) -> bool:
    """Is this a number, or text that looks like one?"""
    if isinstance(value, str):
        return value.removesuffix("%").lstrip("+-").replace(".", "", 1).isdigit() or value == "-"
    return isinstance(value, int | float | None)


def remark(text: str, quiet: bool = False) -> None:
    """One line for people, on standard error."""
    if not quiet:
        click.echo("\n".join(map(plain, text.splitlines())), err=True)


def remark_compilation(network: Any, quiet: bool) -> None:
    """Tell somebody at a terminal why the first run after an installation takes longer."""
    from simulator.experiment.networking import first_use

    if sys.stderr.isatty() and first_use(network):
        remark("compiling the network's loops, once; this takes about ten seconds", quiet)


def console(stream: Any) -> Console:
    """A rich console that neither colours user's text nor cuts tables on a pipe."""
    from rich.console import Console

    return Console(
        file=stream,
        markup=False,
        highlight=False,
        emoji=False,
        width=None if stream.isatty() else 200,
    )
