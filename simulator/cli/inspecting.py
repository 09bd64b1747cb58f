"""``paceline validate``, ``init``, ``list`` and ``schema``: nothing here runs anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from simulator.cli.output import print_json, print_table, remark
from simulator.cli.running import AS_JSON, OUTSIDE, SET

KINDS = (
    "algorithms",
    "topologies",
    "stragglers",
    "storages",
    "losses",
    "presets",
    "devices",
    "computes",
    "noises",
    "durations",
    "models",
    "datasets",
    "partitions",
    "optimizers",
    "schedules",
    "payloads",
    "scenarios",
    "plots",
)


@click.command()
@click.argument("files", nargs=-1, required=True)
@SET
@OUTSIDE
def validate(files: tuple[str, ...], settings: tuple[str, ...], allow_outside: bool) -> None:
    """Check scenario FILES; all mistakes are named with file, line and column."""
    from simulator.errors import InvalidInput
    from simulator.experiment.loading import load

    wrong = False
    for file in files:
        notes: list[str] = []
        try:
            scenario = load(file, settings, allow_outside=allow_outside, notes=notes)
        except InvalidInput as error:
            remark(str(error))
            wrong = True
            continue
        for note in notes:
            remark(note)
        click.echo(f"{file}: ok, {_size(scenario)}")
    if wrong:
        click.get_current_context().exit(2)


def _size(scenario: Any) -> str:
    workers, steps = scenario.topology.workers, scenario.stop.steps
    work = f", {workers * steps:,} worker-steps" if steps else ""
    return f"{workers} workers on {scenario.topology.hosts} hosts{work}"


@click.command()
@click.argument("file", type=click.Path(path_type=Path), default=Path("scenario.yaml"))
@click.option(
    "--template", default="quickstart", show_default=True, help="Shipped scenario to begin with."
)
@click.option("--force", is_flag=True, help="Replace an existing file.")
def init(file: Path, template: str, force: bool) -> None:
    """Write a commented scenario to FILE (default: scenario.yaml) to begin with."""
    import scenarios
    from simulator.errors import InvalidInput, suggestion
    from simulator.experiment.store import write_text

    if template not in scenarios.names():
        raise InvalidInput(f"no template {template!r}; {suggestion(template, scenarios.names())}")
    if file.exists() and not force:
        raise InvalidInput(f"{file} exists; give another name, or --force to replace it")
    if file.suffix not in (".yaml", ".yml"):
        raise InvalidInput(f"{file} should end in .yaml")
    write_text(
        file,
        "# yaml-language-server: $schema=scenario.schema.json\n"
        "# (completion in editors: paceline schema > scenario.schema.json)\n"
        + scenarios.path(template).read_text(),
    )
    click.echo(f"wrote {file}; next: paceline run {file}")


@click.command("list")
@click.argument("kind", type=click.Choice(KINDS))
@AS_JSON
def list_(kind: str, as_json: bool) -> None:
    """List what scenarios can name, e.g. paceline list algorithms."""
    rows = _rows(kind)
    if as_json:
        print_json(rows)
    else:
        print_table([{key: _cell(value) for key, value in row.items()} for row in rows])


def _cell(value: Any) -> Any:
    return ", ".join(value) if isinstance(value, list) else value


def _rows(kind: str) -> list[dict[str, Any]]:
    if kind == "scenarios":
        import scenarios

        return [
            {"name": name, "summary": _question(scenarios.path(name))} for name in scenarios.names()
        ]
    if kind == "plots":
        import analysis.kinds

        plots = analysis.kinds.KINDS.items()
        return [{"name": name, "summary": text} for name, text in plots]
    from simulator.experiment.catalogue import catalogue

    return catalogue(kind)


def _question(path: Path) -> str:
    return path.read_text().splitlines()[0].lstrip("# ")


@click.command()
def schema() -> None:
    """Print the JSON Schema of scenarios, for completion in editors."""
    from simulator.experiment.catalogue import json_schema

    print_json(json_schema())
