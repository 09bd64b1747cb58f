"""Drafts: a graph in the making, with every problem and its place."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.errors import QuantityError, TopologyError, printable, suggestion
from simulator.units import DIMENSIONS, EXAMPLES, BitsPerSecond, Seconds, Unit
from topologies.attributes import DUPLEX, KINDS, SHOWN, LinkSpec, check, raise_problems
from topologies.readers.source import Source

if TYPE_CHECKING:
    import networkx as nx

MAX_PARTS, MAX_NAME, MAX_HINTED = 2_000_000, 256, 100
RATE, TIME = Unit("bit/s", positive=True), Unit("s")
# Other names for the two numbers of a link: those of the Topology Zoo and of old networkx examples.
BANDWIDTH, LATENCY = ("bandwidth", "LinkSpeedRaw"), ("latency", "delay")


@dataclass(frozen=True)
class Defaults:
    """Bandwidth and latency of links whose file says nothing; None means it must say."""

    bandwidth: BitsPerSecond | None = None
    latency: Seconds | None = None


class Draft:
    """A graph in the making: problems are collected, and `finish` tells them all.

    Parameters
    ----------
    source
        The file.
    defaults
        Bandwidth and latency of links that have none.
    directed
        Whether a link has one direction only.
    both_ways
        Whether a link may be listed once from each end.
    """

    def __init__(
        self,
        source: Source,
        defaults: LinkSpec | Defaults | None,
        *,
        directed: bool = False,
        both_ways: bool = False,
    ):
        import networkx as nx

        self.source, self.defaults, self.both_ways = source, defaults or Defaults(), both_ways
        self.graph: nx.Graph[str] = nx.DiGraph() if directed else nx.Graph()
        self._problems: list[str] = []
        self._untold = 0
        self._listed: dict[tuple[str, str], str] = {}

    def problem(self, place: str, message: str) -> None:
        """Note a problem; its place begins with the file's name."""
        if len(self._problems) < SHOWN:
            self._problems.append(f"{place}: {message}")
        else:
            self._untold += 1

    def hint(self, name: str, known: Collection[str]) -> str:
        """What *name* was meant to be, where the search is short and the answer shown."""
        if len(self._problems) >= SHOWN or len(known) > MAX_HINTED:
            return ""
        return f"; {suggestion(name, known)}"

    def node(self, name: str, place: str, attributes: Mapping[str, Any] | None = None) -> None:
        """Add a node, or what is said about one that a link has named before."""
        said = attributes or {}
        if not name or len(name) > MAX_NAME:
            wanted = f"a name of 1 to {MAX_NAME} characters"
            self.problem(place, f"expected {wanted}, not {printable(name)}")
            return
        self.graph.add_node(name)
        self._limit()
        kept = self.graph.nodes[name]
        if (kind := said.get("kind")) not in (None, ""):
            if kind not in KINDS:
                hint = suggestion(str(kind), KINDS)
                self.problem(place, f"no kind {printable(kind)} of nodes; {hint}")
            elif kept.setdefault("kind", kind) != kind:
                self.problem(place, f"{printable(name)} is a {kind} here, {kept['kind']} before")
        if (level := said.get("level")) not in (None, ""):
            try:
                kept["level"] = min(max(int(level), 0), MAX_PARTS)
            except (TypeError, ValueError, OverflowError):
                self.problem(place, f"level must be a whole number, not {printable(level)}")
        if "pos" in said and (point := _point(said["pos"])):
            kept["pos"] = point
        if (label := said.get("label")) and isinstance(label, str):
            kept["label"] = label

    def link(self, u: str, v: str, place: str, said: Mapping[str, Any]) -> None:
        """Add a link between two nodes, which are added where they are new.

        *said* may hold bandwidth and latency, as SI numbers or text with units, and duplex.
        """
        known = self.graph.has_node(u), self.graph.has_node(v)
        for name, there in zip((u, v), known, strict=True):
            if not there:
                self.node(name, place)
        self._limit()
        if not (self.graph.has_node(u) and self.graph.has_node(v)):
            return
        name = f"link {printable(u)} - {printable(v)}"
        if u == v:
            self.problem(place, f"{name} connects a node with itself")
            return
        link = {
            "bandwidth": self._number(said, BANDWIDTH, self.defaults.bandwidth, RATE, place, name),
            "latency": self._number(said, LATENCY, self.defaults.latency, TIME, place, name),
        }
        if (duplex := said.get("duplex")) not in (None, "", "full"):
            link["duplex"] = duplex
            if duplex not in DUPLEX:
                hint = f"known: {', '.join(DUPLEX)}"
                self.problem(place, f"{name} has no duplex {printable(duplex)}; {hint}")
        if not self.graph.has_edge(u, v):
            self.graph.add_edge(u, v, **link)
            self._listed[u, v] = place
        elif not (self.both_ways and (v, u) in self._listed and (u, v) not in self._listed):
            first = self._listed.get((u, v)) or self._listed[v, u]
            self.problem(
                place,
                f"{name} is there already ({first}); give parallel links as one with the "
                "sum of their bandwidths",
            )
        elif self.graph.edges[u, v] != link:
            self.problem(
                place,
                f"{name} differs from its way back ({self._listed[v, u]}); links that do can "
                "be given in node-link JSON with directed: true",
            )
        else:
            self._listed[u, v] = place

    def _number(
        self,
        said: Mapping[str, Any],
        names: tuple[str, ...],
        default: float | None,
        unit: Unit,
        place: str,
        link: str,
    ) -> float | None:
        """A quantity that a file gives, or its default; None after a problem."""
        given = next((said[name] for name in names if said.get(name) not in (None, "")), None)
        what, dimension = names[0], f"a {DIMENSIONS[unit.symbol]} such as {EXAMPLES[unit.symbol]!r}"
        if given is None:
            if default is None:
                self.problem(place, f"{link} has no {what}; give it one, or a default for all")
            return default
        try:
            # Longer text is no number, and finding that out takes time.
            number = None if isinstance(given, str) and len(given) > 200 else unit.read(given)
        except QuantityError as error:
            self.problem(place, f"{what} of {link}: {error}")
        except OverflowError:
            self.problem(place, f"{what} of {link}: {printable(given)} is too large a number")
        else:
            if isinstance(number, float):
                return number
            self.problem(place, f"{what} of {link}: expected {dimension}, not {printable(given)}")
        return None

    def _limit(self) -> None:
        if max(len(self._listed), len(self.graph)) > MAX_PARTS:
            raise TopologyError(
                f"{self.source.name}: has more than {MAX_PARTS:,} nodes or links, too many to read"
            )

    def finish(self) -> nx.Graph[str]:
        """The graph, its kinds of nodes completed.

        Raises
        ------
        TopologyError
            With all problems found so far, or what `check` finds.
        """
        raise_problems(self._problems, untold=self._untold)
        if not len(self.graph):
            raise TopologyError(f"{self.source.name}: there is no node in it")
        infer_kinds(self.graph)
        self.graph.graph["source"] = self.source.name
        check(self.graph)
        return self.graph


def infer_kinds(graph: nx.Graph[str]) -> None:
    """Give every node without a kind one.

    A node with a single neighbour is a host, any other a switch; where this leaves no host
    at all, the network is a direct one and its nodes are hosts.
    """
    unsaid = [node for node, kind in graph.nodes(data="kind") if kind is None]
    kinds = {node: "switch" if len(neighbours(graph, node)) > 1 else "host" for node in unsaid}
    said = [kind for _, kind in graph.nodes(data="kind")]
    if "host" not in kinds.values() and not {"host", "worker"} & {*said}:
        kinds = dict.fromkeys(unsaid, "host")
    for node, kind in kinds.items():
        graph.nodes[node]["kind"] = kind


def neighbours(graph: nx.Graph[str], node: str) -> dict[str, None]:
    """Nodes with a link to or from *node*."""
    found = dict.fromkeys(graph.adj[node])
    return found | dict.fromkeys(graph.pred[node]) if graph.is_directed() else found


def _point(value: Any) -> tuple[float, float] | None:
    """A position in a picture; anything else is no reason to refuse a file."""
    try:
        x, y = (float(part) for part in value)
    except (TypeError, ValueError, OverflowError):
        return None
    return (x, y) if math.isfinite(x) and math.isfinite(y) else None
