"""Topologies as plain data: facts for people and tools, and what a picture needs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import InvalidInput
from simulator.units import show
from topologies import Facts, facts_of, positions

if TYPE_CHECKING:
    import networkx as nx


def picture(graph: nx.Graph[str]) -> dict[str, Any]:
    """Nodes with kind and position, and links: what `analysis` draws a topology from."""
    place = positions(graph)
    return {
        "directed": graph.is_directed(),
        "nodes": [
            {"id": node, "kind": kind, "x": place[node][0], "y": place[node][1]}
            for node, kind in graph.nodes(data="kind")
        ],
        "edges": [
            {"source": u, "target": v, "bandwidth": data["bandwidth"], "latency": data["latency"]}
            for u, v, data in graph.edges(data=True)
        ],
    }


def facts_in_si(graph: nx.Graph[str]) -> dict[str, Any]:
    """Facts about *graph* under names that carry the unit."""
    facts = facts_of(graph)
    return {
        "nodes": dict(facts.nodes),
        "links": facts.links,
        "workers": facts.workers,
        "diameter_hops": facts.diameter,
        "max_latency_s": facts.max_latency,
        "distances_sampled_from": facts.sampled_from,
        "bisection_bit_per_s": facts.bisection,
        "bisection_share": facts.bisection_share,
        "oversubscription": {str(level): ratio for level, ratio in facts.oversubscription},
    }


def facts_in_words(graph: nx.Graph[str]) -> list[tuple[str, str]]:
    """Facts about *graph* with units, for people."""
    return list(_worded(facts_of(graph)))


def _worded(facts: Facts) -> Sequence[tuple[str, str]]:
    sampled = f" (from {facts.sampled_from} hosts)" if facts.sampled_from else ""
    rows = [(f"nodes of kind {kind}", f"{count:,}") for kind, count in facts.nodes]
    rows += [
        ("links", f"{facts.links:,}"),
        ("workers", f"{facts.workers:,}"),
        ("diameter between hosts", f"{facts.diameter} hops{sampled}"),
        ("largest latency between hosts", _short(facts.max_latency, "s") + sampled),
    ]
    if facts.bisection is not None:
        share = "" if facts.bisection_share is None else f" ({facts.bisection_share:.0%} of full)"
        rows.append(("bisection bandwidth", _short(facts.bisection, "bit/s") + share))
    rows += [
        (f"oversubscription at level {level}", f"{ratio:g} : 1")
        for level, ratio in facts.oversubscription
    ]
    return rows


def _short(value: float, unit: str) -> str:
    """A quantity without the noise of sums in its last digits."""
    return show(float(f"{value:.10g}"), unit)


def convert(graph: nx.Graph[str], target: Path, force: bool) -> None:
    """Write *graph* to *target* in the format of its suffix.

    Raises
    ------
    InvalidInput
        If the file exists, unless *force*, or there is no such format.
    """
    from topologies.writers import write_topology

    if target.exists() and not force:
        raise InvalidInput(f"{target} exists; give another name, or --force to replace it")
    write_topology(graph, target)
