"""The network of a scenario: its settings, and what is built from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from simulator.engine import Clock, Streams, Table
from simulator.experiment.references import resolve
from simulator.network import AlphaBeta, Network
from simulator.network.compiled import is_compiled
from simulator.network.conditions import Background, Jitter, LinkChange, misplaced
from simulator.network.measured import (
    CostTable,
    MeasuredCosts,
    Measurement,
    completed,
    read_measurements,
)
from simulator.network.payload import PAYLOADS, Fused, Payload
from simulator.network.table import TableNetwork
from simulator.units import Seconds

if TYPE_CHECKING:
    import networkx as nx

SHARED = ("flow", "message")  # fidelities in which transfers share links


@dataclass(frozen=True)
class NetworkSettings:
    """How bytes become seconds.

    `fidelity` is the cost model: `flow` and `message` share links fairly among all
    transfers, a collective being one transfer per round or all its messages; `alpha-beta`
    sees nothing else on the links; `table` takes collectives from measured `costs`.
    `routing` chooses among equally short ways; `all_reduce` is the algorithm of all-reduce,
    `auto` the cheapest by price; `payload` says in how many messages a gradient is sent.
    `overhead` is the time of every message at its hosts, `jitter` the mean of a random
    delay beside it.  `links` change at given times, and `background` is traffic of others.
    """

    fidelity: Literal["flow", "message", "alpha-beta", "table"] = "flow"
    routing: Literal["d-mod-k", "flow-hash"] = "d-mod-k"
    all_reduce: Literal[
        "auto", "ring", "recursive-doubling", "halving-doubling", "tree", "double-tree", "two-level"
    ] = "auto"
    payload: Annotated[Payload, PAYLOADS] = field(default_factory=Fused)
    overhead: Seconds = 0.0
    jitter: Seconds = 0.0
    links: tuple[LinkChange, ...] = ()
    background: tuple[Background, ...] = ()
    costs: tuple[MeasuredCosts, ...] = ()


def contradictions(
    settings: NetworkSettings, graph: nx.Graph[str] | None
) -> Iterator[tuple[str, str]]:
    """What *settings* ask for that cannot be had: (path below network, message).

    *graph* is needed where they name links or nodes.
    """
    if settings.fidelity not in SHARED:
        for name in ("jitter", "links", "background"):
            if getattr(settings, name):
                yield (
                    name,
                    f"needs links that are shared; fidelity {settings.fidelity} sees one transfer "
                    "at a time, use flow or message",
                )
    if settings.fidelity == "table" and not settings.costs:
        yield "costs", "is missing; fidelity table needs measured collectives"
    if settings.fidelity != "table" and settings.costs:
        yield "costs", f"has no effect in fidelity {settings.fidelity}; use table"
    if graph is not None:
        yield from misplaced(graph, settings.links, settings.background)


def cost_table(settings: NetworkSettings, folder: Path, allow_outside: bool) -> CostTable:
    """The measured costs that *settings* name.

    Raises
    ------
    DataError
        If a file cannot be read, or does not say what was measured.
    """
    measurements: list[Measurement] = []
    for costs in settings.costs:
        path = resolve(costs.path, folder, allow_outside)
        measurements += completed(read_measurements(path), costs)
    return CostTable(measurements)


def first_use(settings: NetworkSettings) -> bool:
    """Will the loops that *settings* need be compiled first?"""
    return settings.fidelity in SHARED and not is_compiled()


def build_network(
    settings: NetworkSettings,
    env: Clock,
    graph: nx.Graph[str],
    messages: Table,
    streams: Streams,
    *,
    costs: CostTable | None = None,
    record: bool = True,
    changes: Sequence[LinkChange] = (),
) -> Network:
    """The network that *settings* describe on *graph*.

    *costs* are for fidelity ``table``, and *changes* of links are made beside those that
    the settings name.
    """
    common: dict[str, Any] = {"routing": settings.routing, "overhead": settings.overhead}
    if settings.fidelity == "alpha-beta":
        return AlphaBeta(env, graph, messages, **common)
    if settings.fidelity == "table":
        return TableNetwork(env, graph, messages, costs or CostTable(()), **common)
    from simulator.network.shared import SharedNetwork
    from simulator.network.surroundings import surround

    jitter = Jitter(settings.jitter, streams) if settings.jitter else None
    network = SharedNetwork(
        env, graph, messages, settings.fidelity, **common, jitter=jitter, record=record
    )
    surround(network, [*settings.links, *changes], settings.background)
    return network
