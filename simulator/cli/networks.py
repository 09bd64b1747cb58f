"""``paceline collectives``, ``flows`` and ``topology``: the network without training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from simulator.cli.output import print_json, print_table, remark, remark_compilation
from simulator.cli.running import AS_JSON, NODES, OUTSIDE, QUIET, SET, with_hosts

KINDS = (
    "all-reduce",
    "reduce",
    "broadcast",
    "all-gather",
    "reduce-scatter",
    "gather",
    "scatter",
    "all-to-all",
)
FIDELITIES = ("flow", "message", "alpha-beta", "table")
FIDELITY = click.option(
    "--fidelity", type=click.Choice(FIDELITIES), help="Cost model instead of the scenario's."
)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("scenario")
@click.option("--kind", type=click.Choice(KINDS), default=KINDS[0], show_default=True)
@click.option(
    "--algorithm",
    "algorithms",
    multiple=True,
    help="Such as ring or tree; several, or 'all', are compared.  [default: auto]",
)
@click.option("--ranks", type=click.IntRange(min=1), help="The first so many workers only.")
@click.option(
    "--sizes",
    metavar="SIZE,SIZE,...",
    help="Payloads, e.g. 1MB,16MB,1GB.  [default: those measured, or 1 kB to 1 GB]",
)
@FIDELITY
@click.option("--measured", type=FILE, help="Output of nccl-tests to compare with.")
@NODES
@SET
@AS_JSON
@QUIET
@OUTSIDE
def collectives(
    scenario: str,
    kind: str,
    algorithms: tuple[str, ...],
    ranks: int | None,
    sizes: str | None,
    fidelity: str | None,
    measured: Path | None,
    nodes: int | None,
    settings: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    allow_outside: bool,
) -> None:
    """Time collectives on the network of SCENARIO, as nccl-tests prints them.

    SCENARIO is a YAML file, the name of a shipped scenario, or a topology in any format that
    `paceline topology` reads.  Sizes are counted as nccl-tests does: for all-gather,
    reduce-scatter, gather and scatter they are those of all ranks' parts together.
    """
    from simulator.experiment.questions import beside_measured, collective_times, read_log

    loaded = _loaded(scenario, settings, nodes, fidelity, allow_outside, quiet)
    names = _algorithms(kind, algorithms)
    remark_compilation(loaded.network, quiet)
    log = None
    if measured is not None:
        count = min(ranks or loaded.topology.workers, loaded.topology.workers)
        per_host = max(1, loaded.topology.workers // loaded.topology.hosts)
        log = read_log(measured, kind, count, -(-count // per_host))
        for text in log.remarks:
            remark(text, quiet)
    nbytes = _sizes(sizes, sorted(log.times) if log else None)
    rows = list(collective_times(loaded, kind, names, nbytes, ranks))
    if log is not None:
        rows = beside_measured(rows, log)
    if as_json:
        print_json(rows)
    else:
        click.echo(f"{kind}, {rows[0]['ranks']} ranks, fidelity {loaded.network.fidelity}")
        print_table([_as_nccl_tests(row) for row in rows])
        for why in dict.fromkeys(_reason(row) for row in rows if "cheapest" in row["why"]):
            remark(why, quiet)
    if any(row["time_s"] is None for row in rows):
        remark("some collectives never end: a link on their way has failed for good", quiet)


def _reason(row: dict[str, Any]) -> str:
    return f"{row['algorithm']} at {row['nbytes']:g} B: {row['why']}"


def _as_nccl_tests(row: dict[str, Any]) -> dict[str, Any]:
    """Units of nccl-tests: us, and GB/s of 10^9 bytes."""
    shown = {
        "size (B)": f"{row['nbytes']:.0f}",
        "algorithm": row["algorithm"],
        "time (us)": "-" if row["time_s"] is None else f"{row['time_s'] * 1e6:.2f}",
        "algbw (GB/s)": _gigabytes(row["algbw_bytes_per_s"]),
        "busbw (GB/s)": _gigabytes(row["busbw_bytes_per_s"]),
    }
    if "measured_s" in row:
        time, error = row["measured_s"], row["error"]
        shown["measured (us)"] = "-" if time is None else f"{time * 1e6:.2f}"
        shown["error"] = "-" if error is None else f"{error:+.1%}"
    return shown


def _gigabytes(rate: float | None) -> str:
    return "-" if rate is None else f"{rate / 1e9:.2f}"


def _algorithms(kind: str, asked: tuple[str, ...]) -> list[str]:
    from simulator.errors import suggestion
    from simulator.experiment.questions import algorithms_of

    known = algorithms_of(kind)
    for name in asked:
        if name not in (*known, "auto", "all"):
            raise click.UsageError(
                f"--algorithm: no {name!r} for {kind}; {suggestion(name, [*known, 'auto', 'all'])}"
            )
    if "all" in asked:
        return known
    return list(dict.fromkeys(asked)) or ["auto"]


def _sizes(text: str | None, measured: list[float] | None) -> list[float]:
    from simulator.errors import QuantityError
    from simulator.units import Unit

    if text is None:
        return measured or [10.0**exponent for exponent in range(3, 10)]
    try:
        return [float(Unit("B", positive=True).read(part.strip())) for part in text.split(",")]
    except QuantityError as error:
        raise click.UsageError(f"--sizes: {error}") from None


def _loaded(
    scenario: str,
    settings: tuple[str, ...],
    nodes: int | None = None,
    fidelity: str | None = None,
    allow_outside: bool = True,
    quiet: bool = False,
) -> Any:
    from simulator.experiment.questions import load_cluster

    notes: list[str] = []
    asked = [f"network.fidelity={fidelity}"] if fidelity else []
    asked += [with_hosts(nodes)] if nodes else []
    loaded = load_cluster(scenario, [*settings, *asked], allow_outside=allow_outside, notes=notes)
    for note in notes:
        remark(note, quiet)
    return loaded


@click.command()
@click.argument("scenario")
@click.option(
    "--flows",
    "file",
    type=FILE,
    required=True,
    help="CSV file with the columns source,target,nbytes and perhaps start_s.",
)
@click.option(
    "--fidelity", type=click.Choice(FIDELITIES[:2]), help="Both share links; see collectives."
)
@NODES
@SET
@AS_JSON
@QUIET
@OUTSIDE
def flows(
    scenario: str,
    file: Path,
    fidelity: str | None,
    nodes: int | None,
    settings: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    allow_outside: bool,
) -> None:
    """Let transfers share the network of SCENARIO; print when each ends and what limits it.

    The bottleneck is the link direction that set the rate for most of a transfer's bytes.
    """
    from simulator.experiment.questions import transfer_times

    loaded = _loaded(scenario, settings, nodes, fidelity, allow_outside, quiet)
    remark_compilation(loaded.network, quiet)
    rows = transfer_times(loaded, file)
    if as_json:
        print_json(rows)
        return
    print_table([_transfer(row) for row in rows])
    never = sum(row["finish_s"] is None for row in rows)
    if never:
        remark(f"{never} transfers never end: a link on their way has failed for good", quiet)


def _transfer(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in ("source", "target")}
    for name in ("nbytes", "start_s", "finish_s", "time_s"):
        shown[name] = "-" if row[name] is None else f"{row[name]:.9g}"
    ends = row["bottleneck_source"], row["bottleneck_target"]
    return shown | {"bottleneck": " -> ".join(ends) if ends[0] else None}


@click.group()
def topology() -> None:
    """Look at a topology, convert it, or check it.

    FILE is a scenario, the name of a shipped one, or a topology as node-link JSON, GraphML, CSV
    edge list, Slurm topology.conf, ASTRA-sim network.yml, SimGrid platform XML or the output of
    nvidia-smi topo -m.
    """


@topology.command("show")
@click.argument("file")
@click.option("-o", "--out", type=FILE, help="Also draw it, into a .png, .svg or .pdf file.")
@NODES
@SET
@AS_JSON
@QUIET
def show_(
    file: str,
    out: Path | None,
    nodes: int | None,
    settings: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Print what the topology of FILE is like: sizes, distances, bisection, oversubscription."""
    from simulator.experiment.pictures import facts_in_si, facts_in_words, picture

    graph = _loaded(file, settings, nodes, quiet=quiet).topology.build()
    if out is not None:
        from analysis.files import save_topology

        save_topology(picture(graph), out)
        remark(f"wrote {out}", quiet)
    if as_json:
        print_json(facts_in_si(graph))
    else:
        print_table([{"fact": name, "value": value} for name, value in facts_in_words(graph)])


@topology.command("convert")
@click.argument("file")
@click.argument("target", type=FILE)
@click.option("--force", is_flag=True, help="Replace an existing file.")
@NODES
@SET
@QUIET
def convert_(
    file: str,
    target: Path,
    force: bool,
    nodes: int | None,
    settings: tuple[str, ...],
    quiet: bool,
) -> None:
    """Write the topology of FILE to TARGET: .json, .graphml, .csv or .dot."""
    from simulator.experiment.pictures import convert

    graph = _loaded(file, settings, nodes, quiet=quiet).topology.build()
    convert(graph, target, force)
    click.echo(f"wrote {target}: {len(graph):,} nodes, {graph.number_of_edges():,} links")


@topology.command("check")
@click.argument("files", nargs=-1, required=True)
@SET
def check_(files: tuple[str, ...], settings: tuple[str, ...]) -> None:
    """Check the topologies of FILES; all mistakes are named with their place."""
    from simulator.errors import InvalidInput

    wrong = False
    for file in files:
        try:
            topology = _loaded(file, settings).topology
        except InvalidInput as error:
            remark(str(error))
            wrong = True
            continue
        click.echo(f"{file}: ok, {topology.workers:,} workers on {topology.hosts:,} hosts")
    if wrong:
        click.get_current_context().exit(2)
