"""What else happens on the links: links that change, and traffic of others."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from simulator.engine import Streams
from simulator.errors import printable
from simulator.units import BitsPerSecond, Seconds

if TYPE_CHECKING:
    import networkx as nx


@dataclass(frozen=True)
class LinkChange:
    """From `at` until `until` a link has `factor` times its bandwidth; 0 is a link that failed.

    It concerns both directions unless `both_ways` is false.  Transfers under way go on at
    what is left, or wait; routes stay as they are.
    """

    source: str
    target: str
    at: Seconds
    until: Seconds | None = None
    factor: Annotated[float, Ge(0), Le(1000)] = 0.0
    both_ways: bool = True


@dataclass(frozen=True)
class Background:
    """Traffic of others between two nodes: `flows` transfers without an end.

    Each takes `weight` fair shares of the links, or `rate` if that is less.
    """

    source: str
    target: str
    flows: Annotated[int, Ge(1), Le(10_000)] = 1
    rate: BitsPerSecond | None = None
    weight: Annotated[float, Gt(0), Le(1e6)] = 1.0
    at: Seconds = 0.0
    until: Seconds | None = None


@dataclass(frozen=True)
class Jitter:
    """A random delay of every message, exponential with a *mean* in seconds."""

    mean: float
    streams: Streams

    def seed(self) -> int:
        """For the compiled loops, where a delay depends on this, the message and its count."""
        return int(self.streams.get("jitter").integers(2**31))

    def generator(self, name: str) -> np.random.Generator:
        """For the collective *name*, if it is played in stages."""
        return self.streams.get("jitter", zlib.crc32(name.encode()))


def misplaced(
    graph: nx.Graph[str], changes: Sequence[LinkChange], background: Sequence[Background]
) -> Iterator[tuple[str, str]]:
    """What names a node or link that is not there, or ends before it begins: (path, message)."""
    for number, one in enumerate(changes):
        yield from _unknown(graph, f"links.{number}", one)
        known = one.source in graph and one.target in graph
        if known and not graph.has_edge(one.source, one.target):
            beside = ", ".join(list(graph.adj[one.source])[:5])
            yield (
                f"links.{number}.target",
                f"there is no link from {one.source} to {printable(one.target)}; "
                f"{one.source} has links to {beside}",
            )
    for number, two in enumerate(background):
        yield from _unknown(graph, f"background.{number}", two)
        if two.source == two.target:
            yield f"background.{number}.target", "is the source; a node sends itself nothing"


def _unknown(
    graph: nx.Graph[str], path: str, one: LinkChange | Background
) -> Iterator[tuple[str, str]]:
    for name in ("source", "target"):
        node = getattr(one, name)
        if node not in graph:
            near = get_close_matches(node, list(graph)[:20_000], 3) or [*list(graph)[:6], "..."]
            known = ", ".join(near)
            yield f"{path}.{name}", f"the topology has no node {printable(node)}; it has {known}"
    if one.until is not None and one.until <= one.at:
        yield f"{path}.until", f"is {one.until:g} s, not later than `at`, {one.at:g} s"
