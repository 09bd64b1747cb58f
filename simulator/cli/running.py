"""``paceline run`` and ``paceline sweep``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from simulator.cli.output import plain, print_json, print_table, remark, remark_compilation
from simulator.registry import kind_of

if TYPE_CHECKING:
    from simulator.experiment.sweep import Entry

SET = click.option(
    "-S",
    "--set",
    "settings",
    multiple=True,
    metavar="PATH=VALUE",
    help="Change one setting, e.g. -S algorithm.kind=layered-sgd.",
)
OUT = click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder for results.",
)
OUTSIDE = click.option(
    "--allow-outside", is_flag=True, help="Let the scenario name files outside its project."
)
QUIET = click.option("-q", "--quiet", is_flag=True, help="No progress and no remarks.")
NODES = click.option("--nodes", type=click.IntRange(min=1), help="Number of hosts.")
AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


KNOWN_AXES = ("algorithm.kind", "topology.hosts", "seed")  # columns of their own


def with_hosts(nodes: int) -> str:
    """The setting that `--nodes` stands for."""
    return f"topology.hosts={nodes}"


@click.command()
@click.argument("scenario")
@SET
@NODES
@click.option("--seed", type=click.IntRange(min=0), help="Seed of this run.")
@OUT
@click.option("--trace", is_flag=True, help="Also write timelines for trace viewers.")
@AS_JSON
@QUIET
@OUTSIDE
def run(
    scenario: str,
    settings: tuple[str, ...],
    nodes: int | None,
    seed: int | None,
    out: Path,
    trace: bool,
    as_json: bool,
    quiet: bool,
    allow_outside: bool,
) -> None:
    """Simulate SCENARIO, a YAML file or the name of a shipped scenario.

    The result folder is named by content, so a finished run is not run again.
    """
    import json

    from simulator.experiment.loading import load
    from simulator.experiment.measure import measured
    from simulator.experiment.store import check_writable, finished, save

    notes: list[str] = []
    loaded = load(
        scenario,
        [
            *settings,
            *([with_hosts(nodes)] if nodes else []),
            *([f"seed={seed}"] if seed is not None else []),
        ],
        allow_outside=allow_outside,
        notes=notes,
    )
    for note in notes:
        remark(note, quiet)
    if trace and not loaded.record.spans:
        raise click.UsageError("--trace needs the spans that record.spans: false leaves out")
    check_writable(out)
    folder = finished(out, loaded, trace=trace)
    if folder is None:
        remark_compilation(loaded.network, quiet)
        result, volatile = measured(loaded)
        folder = save(result, out, trace=trace, volatile=volatile)
    else:
        remark(f"already run; taken from {folder}", quiet)
    summary = json.loads((folder / "summary.json").read_text())
    manifest = json.loads((folder / "manifest.json").read_text())
    for warning in manifest["warnings"]:
        remark(warning, quiet)
    if as_json:
        print_json(
            {
                **summary,
                "config_hash": manifest["config_hash"],
                "run_dir": str(folder),
                "wall_s": manifest["volatile"].get("wall_s"),
            }
        )
    else:
        click.echo(
            f"{summary['algorithm']}, {summary['workers']} workers on "
            f"{summary['hosts']} hosts: {summary['status']}"
        )
        print_table(_rows(summary))
        click.echo(f"results: {plain(str(folder))}")


def _rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    shown = (
        "simulated_time_s",
        "steps",
        "samples",
        "samples_per_s",
        "final_loss",
        "final_accuracy",
        "target_accuracy",
        "time_to_target_s",
        "bytes_sent",
        "mean_staleness",
        "max_staleness",
    )
    rows = {name: summary[name] for name in shown} | summary["breakdown"]
    if summary["cost"] is not None:
        rows |= {name: summary[name] for name in ("device_hours", "extra_processes", "cost")}
    return [{"quantity": name, "value": value} for name, value in rows.items()]


@click.command()
@click.argument("scenario")
@SET
@click.option("--nodes", metavar="N,N,...", help="Numbers of hosts, e.g. 2,4,8.")
@click.option(
    "--grid",
    multiple=True,
    metavar="PATH=V,V,...",
    help="Vary one setting, e.g. algorithm.kind=sync-sgd,async-ps.",
)
@click.option("--seeds", type=click.IntRange(1, 10_000), help="Run seeds 0 .. N-1.")
@OUT
@AS_JSON
@QUIET
@OUTSIDE
def sweep(
    scenario: str,
    settings: tuple[str, ...],
    nodes: str | None,
    grid: tuple[str, ...],
    seeds: int | None,
    out: Path,
    as_json: bool,
    quiet: bool,
    allow_outside: bool,
) -> None:
    """Run every combination of settings of SCENARIO, one after the other.

    Equal seeds share all randomness, so differences between runs are effects, not luck.
    Run the same command again to go on after an interruption.
    """
    from simulator.experiment.document import read
    from simulator.experiment.loading import Override, find
    from simulator.experiment.store import check_writable
    from simulator.experiment.sweep import Sweep, axes_of, execute, write_index, write_sweep

    notes: list[str] = []
    overrides = [Override.parse(text) for text in settings]
    hosts = [] if nodes is None else [f"topology.hosts={nodes}"]
    axes = axes_of((*hosts, *grid), seeds)
    plan = Sweep(read(find(scenario)), overrides, axes, seeds, allow_outside)
    scenarios = plan.scenarios(notes)
    for note in notes:
        remark(note, quiet)
    check_writable(out)
    remark_compilation(scenarios[0].network, quiet)
    write_sweep(out, plan)
    with_progress = _progress if not quiet else _silent
    entries = with_progress(len(scenarios), lambda report: execute(scenarios, out, report))
    write_index(out, entries)
    _finish(entries, list(axes), out, as_json, quiet)


def _finish(entries: list[Entry], axes: list[str], out: Path, as_json: bool, quiet: bool) -> None:
    import json

    from simulator.experiment.sweep import flat

    reused, failed = sum(entry.reused for entry in entries), [e for e in entries if e.error]
    remark(f"{len(entries)} runs: {reused} were complete already, {len(failed)} failed", quiet)
    for entry in failed:
        remark(entry.error, quiet)
    shown = ("status", "simulated_time_s", "time_to_target_s", "final_accuracy")
    rows = []
    for entry in entries:
        if entry.folder is not None:
            summary = json.loads((entry.folder / "summary.json").read_text())
            settings = dict(flat(entry.scenario.resolved()))
            varied = {path: settings.get(path) for path in axes if path not in KNOWN_AXES}
            rows.append(
                {name: summary[name] for name in ("algorithm", "workers", "seed")}
                | varied
                | {name: summary[name] for name in shown}
                | {"run_dir": str(entry.folder)}
            )
    if as_json:
        print_json(rows)
    else:
        print_table(rows)
        click.echo(f"results: {plain(str(out))} (index.csv has one row per run)")
    if failed:
        click.get_current_context().exit(3)


def _silent(total: int, execution: Any) -> list[Entry]:
    del total
    return execution(lambda entry: None)  # type: ignore[no-any-return]


def _progress(total: int, execution: Any) -> list[Entry]:
    """Run with a progress bar on a terminal, or a line per run elsewhere."""
    if not sys.stderr.isatty():
        count = iter(range(1, total + 1))
        return execution(lambda entry: remark(f"{next(count)}/{total} {_label(entry)}"))  # type: ignore[no-any-return]
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from simulator.cli.output import console

    with Progress(
        BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console(sys.stderr)
    ) as bar:
        task = bar.add_task("runs", total=total)
        return execution(lambda entry: bar.advance(task))  # type: ignore[no-any-return]


def _label(entry: Entry) -> str:
    scenario = entry.scenario
    state = "failed" if entry.error else "complete already" if entry.reused else "done"
    return (
        f"{kind_of(scenario.algorithm)}, {scenario.topology.workers} workers, "
        f"seed {scenario.seed}: {state}"
    )
