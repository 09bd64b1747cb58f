"""Questions about a network alone: how long do collectives and transfers take?"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from simulator.engine import Clock, Streams, Trace
from simulator.errors import InvalidInput, Problem, QuantityError, ScenarioError, suggestion
from simulator.experiment.combinations import impossible_network
from simulator.experiment.document import Document, read
from simulator.experiment.hardware import graph_of
from simulator.experiment.loading import Override, apply_overrides, check, find
from simulator.experiment.networking import SHARED, build_network, cost_table
from simulator.experiment.scenario import Scenario
from simulator.network import COLLECTIVES, Network, Plan
from simulator.network.choice import chosen, hosts_of
from simulator.network.collectives import Collective, Hosts, in_sequence
from simulator.network.measured import CostTable, bus_bandwidth, counted_size, read_measurements
from simulator.units import Unit
from topologies import worker_nodes

if TYPE_CHECKING:
    import networkx as nx

SIZE, TIME = Unit("B"), Unit("s")
FLOW_COLUMNS = ("source", "target", "nbytes", "start_s")
MOST_TRANSFERS = 1_000_000
Row = dict[str, Any]


def load_cluster(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    allow_outside: bool = False,
    notes: list[str] | None = None,
) -> Scenario:
    """A scenario, or one whose topology is the file *path* and all else default.

    Raises
    ------
    ScenarioError
        If it is neither, or wrong.
    """
    if _is_topology(path):
        file = Path(path)
        data: dict[str, Any] = {"topology": {"kind": "file", "path": file.name}}
        document = Document(data, str(path), file.parent, {(): str(path)})
        allow_outside = True  # it was typed on the command line
    else:
        document = read(find(path))
    apply_overrides(document, [Override.parse(text) for text in overrides], notes)
    return check(document, allow_outside, impossible_network)


def _is_topology(path: str | Path) -> bool:
    """Is this a file of a topology, and no scenario?"""
    from topologies.readers import format_of, open_source

    if not Path(path).is_file():
        return False
    try:
        kind = format_of(open_source(path))
    except InvalidInput:
        return Path(path).suffix not in (".yaml", ".yml")  # its reader says what is wrong
    return kind == "ASTRA-sim network.yml" or Path(path).suffix not in (".yaml", ".yml")


@dataclass(frozen=True)
class Prober:
    """Answers questions on fresh networks of one scenario."""

    scenario: Scenario
    graph: nx.Graph[str]
    costs: CostTable

    @classmethod
    def of(cls, scenario: Scenario) -> Prober:
        costs = cost_table(scenario.network, scenario.folder, scenario.allow_outside)
        return cls(scenario, graph_of(scenario), costs)

    def network(self) -> Network:
        """A network whose clock has not begun."""
        scenario = self.scenario
        return build_network(
            scenario.network,
            Clock(),
            self.graph,
            Trace().messages,
            Streams(scenario.seed),
            costs=self.costs,
            record=False,
        )


def algorithms_of(kind: str) -> list[str]:
    """Names of the algorithms of a collective."""
    return list(COLLECTIVES[kind])


def collective_times(
    scenario: Scenario,
    kind: str,
    algorithms: Sequence[str],
    sizes: Sequence[float],
    ranks: int | None = None,
) -> Iterator[Row]:
    """One row for each algorithm and size: time, and bandwidths as nccl-tests defines them.

    Parameters
    ----------
    scenario
        Says where workers sit, and the network.
    kind, algorithms
        Operation, and algorithms of it by name; ``"auto"`` is the cheapest.
    sizes
        Bytes as nccl-tests counts them: for all-gather, reduce-scatter, gather and scatter
        the parts of all ranks together.
    ranks
        The first so many workers in rank order; None for all.
    """
    from simulator.network.transfers import seconds_of

    prober = Prober.of(scenario)
    nodes = worker_nodes(prober.graph)
    if ranks is not None and ranks > len(nodes):
        raise InvalidInput(f"--ranks {ranks}: the topology has {len(nodes)} workers")
    nodes = nodes[: ranks or len(nodes)]
    makers = COLLECTIVES[kind]
    for asked in algorithms:
        for size in sizes:
            network = prober.network()
            hosts = hosts_of(network, nodes)
            nbytes = size / counted_size(kind, 1.0, len(nodes))
            pieces = scenario.network.payload.pieces(nbytes, scenario.workload.tensor_count)
            plan, name, why = chosen(
                network, nodes, makers, asked, partial(_in_pieces, hosts, pieces)
            )
            seconds = seconds_of(network, plan, nodes)
            algorithm, bus = (
                (None, None) if not seconds else bus_bandwidth(kind, len(nodes), size, seconds)
            )
            yield {
                "kind": kind,
                "algorithm": name,
                "why": why if asked == "auto" else "asked for",
                "ranks": len(nodes),
                "hosts": len(hosts),
                "nbytes": size,
                "time_s": seconds,
                "algbw_bytes_per_s": algorithm,
                "busbw_bytes_per_s": bus,
            }


def _in_pieces(hosts: Hosts, pieces: Sequence[float], make: Collective) -> Plan:
    return in_sequence([make(hosts, piece) for piece in pieces])


@dataclass(frozen=True)
class Log:
    """Measured times of one kind of collective.

    Attributes
    ----------
    times
        Seconds by size in bytes.
    remarks
        What a user should know before comparing with it.
    """

    times: Mapping[float, float]
    remarks: tuple[str, ...]

    def seconds(self, nbytes: float) -> float | None:
        """Measured time, or interpolated between measured sizes; None outside them."""
        if nbytes in self.times:
            return self.times[nbytes]
        sizes = sorted(self.times)
        if not sizes or not sizes[0] <= nbytes <= sizes[-1]:
            return None
        logs = np.log([self.times[size] for size in sizes])
        return float(np.exp(np.interp(math.log(nbytes), np.log(sizes), logs)))


def read_log(path: Path, kind: str, ranks: int, hosts: int) -> Log:
    """What the nccl-tests output *path* has for *kind*, to compare with *ranks* on *hosts*.

    Raises
    ------
    DataError
        If it has no measurement of *kind*.
    """
    measurements = read_measurements(path)
    found = [one for one in measurements if one.kind in (None, kind)]
    if not found:
        kinds = dict.fromkeys(str(one.kind) for one in measurements)
        raise InvalidInput(f"{path} has no measurement of {kind}, but of {', '.join(kinds)}")
    remarks = []
    if found[0].kind is None:
        remarks.append(f"{path} does not say which collective it measured; taken for {kind}")
    shapes = dict.fromkeys((one.nodes, one.ranks_per_node) for one in found)
    for nodes, per_node in shapes:
        if nodes and per_node and (nodes * per_node, nodes) != (ranks, hosts):
            remarks.append(
                f"{path} was measured with {nodes * per_node} ranks on {nodes} hosts, and is "
                f"compared with {ranks} on {hosts}"
            )
    times: dict[float, list[float]] = {}
    for one in found:
        times.setdefault(one.nbytes, []).append(one.time_s)
    middle = {size: float(np.median(all_)) for size, all_ in times.items()}
    return Log(middle, tuple(remarks))


def beside_measured(rows: Sequence[Row], log: Log) -> list[Row]:
    """*rows* with what was measured for the same size, and how far they are from it."""
    result = []
    for row in rows:
        measured, time = log.seconds(row["nbytes"]), row["time_s"]
        error = None if measured is None or time is None else time / measured - 1
        result.append(row | {"measured_s": measured, "error": error})
    return result


def read_transfers(path: Path, nodes: Sequence[str]) -> list[tuple[str, str, float, float]]:
    """Transfers (source, target, nbytes, start_s) of a CSV file; units are welcome.

    Raises
    ------
    ScenarioError
        With the line of every mistake.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise ScenarioError([Problem(str(path), "", f"cannot be read: {reason}")]) from None
    header = text.partition("\n")[0]
    reader = csv.DictReader(io.StringIO(text), delimiter=max(",;\t", key=header.count))
    names = [name.strip() for name in reader.fieldnames or ()]
    needed = ", ".join(FLOW_COLUMNS[:3])
    if missing := [name for name in FLOW_COLUMNS[:3] if name not in names]:
        message = f"has no column {', '.join(missing)}; expected {needed} and perhaps start_s"
        raise ScenarioError([Problem(f"{path}:1", "", message)])
    reader.fieldnames = names
    known, problems = dict.fromkeys(nodes), list[Problem]()
    found: list[tuple[str, str, float, float]] = []
    for row in _rows(reader, path):
        place = f"{path}:{reader.line_num}"
        if len(found) >= MOST_TRANSFERS:
            problems.append(Problem(place, "", f"more than {MOST_TRANSFERS:,} transfers"))
            break
        try:
            source, target = (_node(row, name, known) for name in ("source", "target"))
            nbytes = _quantity(row, "nbytes", SIZE, None)
            found.append((source, target, nbytes, _quantity(row, "start_s", TIME, 0.0)))
        except InvalidInput as error:
            problems.append(Problem(place, "", str(error)))
    if problems:
        raise ScenarioError(problems)
    if not found:
        raise ScenarioError([Problem(str(path), "", "has no transfers")])
    return found


def _rows(reader: csv.DictReader[str], path: Path) -> Iterator[Row]:
    """Rows of a CSV file.

    Raises
    ------
    ScenarioError
        If a line cannot be taken apart.
    """
    try:
        yield from reader
    except csv.Error as error:
        place = f"{path}:{reader.line_num + 1}"
        raise ScenarioError([Problem(place, "", f"is no CSV: {error}")]) from None


def _node(row: Row, column: str, known: dict[str, None]) -> str:
    name = (row[column] or "").strip()
    if name not in known:
        raise InvalidInput(f"{column}: no node {name!r}; {suggestion(name, [*known][:5000])}")
    return name


def _quantity(row: Row, column: str, unit: Unit, default: float | None) -> float:
    text = (row.get(column) or "").strip()
    if not text and default is not None:
        return default
    try:
        return float(unit.read(text))
    except QuantityError as error:
        raise InvalidInput(f"{column}: {error}") from None


def transfer_times(scenario: Scenario, flows: Path) -> list[Row]:
    """When each transfer of the CSV file *flows* is over, and the link that limits it.

    Links are shared, whatever the scenario's fidelity is.

    Raises
    ------
    ScenarioError
        If the file is wrong.
    """
    from simulator.network.shared import SharedNetwork
    from simulator.network.transfers import Transfer, deliveries

    shared = scenario.network.fidelity in SHARED
    network_settings = scenario.network if shared else replace(scenario.network, fidelity="flow")
    prober = Prober.of(replace(scenario, network=network_settings))
    transfers = [Transfer(*one) for one in read_transfers(flows, list(prober.graph))]
    network = prober.network()
    assert isinstance(network, SharedNetwork)
    rows = []
    for transfer, delivery in zip(transfers, deliveries(network, transfers), strict=True):
        finish = delivery.finish_s
        rows.append(
            {
                **transfer._asdict(),
                "finish_s": finish,
                "time_s": None if finish is None else finish - transfer.start_s,
                "bottleneck_source": delivery.limit[0] if delivery.limit else None,
                "bottleneck_target": delivery.limit[1] if delivery.limit else None,
            }
        )
    return rows
