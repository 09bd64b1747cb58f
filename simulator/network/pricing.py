"""What a plan costs on an otherwise idle network, by the alpha-beta model.

Every round takes its longest latency plus, for its fullest link direction, bytes over
bandwidth (Hockney's model, with the ranks of a host sharing its links).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.network.collectives import Pairs, Plan, Round
from simulator.network.fabric import Price
from simulator.network.link import Links
from simulator.network.routing import Router, Routes

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Placed(NamedTuple):
    """Transfers between ranks that sit on nodes.

    Attributes
    ----------
    edges, messages
        Link directions in use, and how many messages each of them carries.
    latency
        The longest, s.
    outside
        How many messages leave their node.
    """

    edges: Ints
    messages: Ints
    latency: float
    outside: int


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
        self._numbers = np.array([router.node_number[node] for node in nodes], np.int64)
        self._placed: dict[Pairs, Placed] = {}

    def __call__(self, pairs: Pairs) -> Placed:
        found = self._placed.get(pairs)
        if found is None:
            routes = self.routes(pairs)  # not kept: for thousands of ranks they are large
            carried = np.bincount(routes.edges, minlength=1)
            edges = np.flatnonzero(carried)
            found = self._placed[pairs] = Placed(
                edges,
                carried[edges],
                float(routes.latency.max(initial=0.0)),
                int(np.count_nonzero(routes.length)),
            )
        return found

    def routes(self, pairs: Pairs) -> Routes:
        """The routes of all messages; one inside a node has no link directions."""
        source, target = self._numbers[pairs.source], self._numbers[pairs.target]
        return self._router.routes_between(source, target)


def load_of(part: Round, place: Placement, directions: int) -> Floats:
    """Bytes of one repetition of *part* on every link direction, shape (directions,)."""
    load = np.zeros(directions)
    for pairs, nbytes in part.transfers:
        placed = place(pairs)
        load[placed.edges] += nbytes * placed.messages
    return load


def latency_of(part: Round, place: Placement) -> float:
    """The longest latency of a round, s."""
    return max((place(pairs).latency for pairs, _ in part.transfers), default=0.0)


def price(plan: Plan, place: Placement, links: Links, overhead: float = 0.0) -> Price:
    """Cost of *plan* where its ranks are placed; *overhead* seconds for every message."""
    total, seconds, per_round, carried = np.zeros(len(links.ends)), 0.0, [], 0.0
    for part in plan.rounds:
        load = load_of(part, place, len(total))
        outside = any(place(pairs).outside for pairs, _ in part.transfers)
        alpha = latency_of(part, place) + (overhead if outside else 0.0)
        beta = float((shared(load, links) * links.seconds_per_byte).max(initial=0.0))
        per_round.append(alpha + beta)
        seconds += part.repeat * per_round[-1]
        total += part.repeat * load
        carried += part.repeat * sum(nbytes * place(p).outside for p, nbytes in part.transfers)
    edges = np.flatnonzero(total)
    return Price(seconds, tuple(per_round), carried, edges, total[edges])


def shared(load: Floats, links: Links) -> Floats:
    """Load on each bandwidth: the two directions of a half-duplex link add up."""
    total: Floats = np.bincount(links.medium, load, len(load)).astype(float)
    return total
