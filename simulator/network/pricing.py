"""What a plan costs on an otherwise idle network, by the alpha-beta model.

Every round takes its longest latency plus, for its fullest link direction, bytes over
bandwidth (Hockney's model, with the ranks of a host sharing its links).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.network.collectives import Pairs, Plan
from simulator.network.fabric import Price
from simulator.network.link import Links
from simulator.network.routing import Router, Routes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_CLASSES = 8  # of latency; more are put together
SAME_LATENCY = 1e-9  # relative
MOST_PLACED = 256  # pairs that are remembered


class Alike(NamedTuple):
    """Messages whose routes have the same latency.

    Attributes
    ----------
    latency
        Seconds.
    edges, messages
        Link directions in use, and how many of the messages each of them carries.
    total
        How many messages they are.
    """

    latency: float
    edges: Ints
    messages: Ints
    total: int


class Placement:
    """Ranks on nodes: places pairs of ranks, and remembers what it has placed.

    Parameters
    ----------
    router
        Finds the ways.
    nodes
        Node of every rank.
    """

    def __init__(self, router: Router, nodes: Sequence[str]):
        self._router = router
        self._numbers = router.numbers(nodes)
        self._placed: dict[Pairs, tuple[Alike, ...]] = {}

    def __call__(self, pairs: Pairs) -> tuple[Alike, ...]:
        """The messages of *pairs* that leave their node, by the latency of their routes."""
        found = self._placed.get(pairs)
        if found is None:
            if len(self._placed) >= MOST_PLACED:  # of an all-to-all each is asked for once
                self._placed.clear()
            found = self._placed[pairs] = tuple(_by_latency(self.routes(pairs)))
        return found

    def routes(self, pairs: Pairs) -> Routes:
        """The routes of all messages; one inside a node has no link directions."""
        source, target = self._numbers[pairs.source], self._numbers[pairs.target]
        return self._router.routes_between(source, target)


def _by_latency(routes: Routes) -> Iterator[Alike]:
    outside = routes.length > 0
    if not outside.any():
        return
    latencies = routes.latency[outside]
    least, most = float(latencies.min()), float(latencies.max())
    if most - least <= SAME_LATENCY * most:  # the usual case, without a look at single messages
        yield _alike(most, routes.edges, len(latencies))
        return
    steps = np.unique(latencies)
    if len(steps) > MOST_CLASSES:
        steps = np.unique(np.quantile(latencies, np.linspace(0, 1, MOST_CLASSES + 1)[1:]))
    group = np.minimum(np.searchsorted(steps * (1 + SAME_LATENCY), routes.latency), len(steps) - 1)
    for number in range(len(steps)):
        chosen = np.flatnonzero((group == number) & outside)
        if len(chosen):
            yield _alike(float(routes.latency[chosen].max()), edges_of(routes, chosen), len(chosen))


def _alike(latency: float, used: Ints, count: int) -> Alike:
    carried = np.bincount(used)
    edges = np.flatnonzero(carried)
    return Alike(latency, edges, carried[edges], count)


def edges_of(routes: Routes, chosen: Ints) -> Ints:
    """All link directions of the *chosen* messages, one after the other."""
    length = routes.length[chosen]
    before = np.repeat(routes.first[chosen] - np.cumsum(length) + length, length)
    used: Ints = routes.edges[before + np.arange(length.sum())]
    return used


def price(plan: Plan, place: Placement, links: Links, overhead: float = 0.0) -> Price:
    """Cost of *plan* where its ranks are placed; *overhead* seconds for every message."""
    total, seconds, per_round, carried = np.zeros(len(links.ends)), 0.0, [], 0.0
    load = np.empty(len(total))
    for part in plan.rounds:
        load[:] = 0.0
        alpha = sent = 0.0
        for pairs, nbytes in part.transfers:
            for alike in place(pairs):
                load[alike.edges] += nbytes * alike.messages
                alpha = max(alpha, alike.latency + overhead)
                sent += nbytes * alike.total
        beta = float((shared(load, links) * links.seconds_per_byte).max(initial=0.0))
        per_round.append(alpha + beta)
        seconds += part.repeat * per_round[-1]
        total += part.repeat * load
        carried += part.repeat * sent
    edges = np.flatnonzero(total)
    return Price(seconds, tuple(per_round), carried, edges, total[edges])


def shared(load: Floats, links: Links) -> Floats:
    """Load on each bandwidth: the two directions of a half-duplex link add up."""
    total: Floats = np.bincount(links.medium, load, len(load)).astype(float)
    return total
