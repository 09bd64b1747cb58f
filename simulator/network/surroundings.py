"""Lets the links of a shared network change, and others use them, at given times."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import numpy as np
from simpy.events import NORMAL

from simulator.network.conditions import Background, LinkChange
from simulator.network.shared import SharedNetwork
from simulator.units import BITS_PER_BYTE


class _Factors:
    """What is left of a bandwidth while changes overlap: the product of their factors."""

    def __init__(self, network: SharedNetwork):
        self._network = network
        self._factors: dict[int, list[float]] = {}

    def begin(self, link: int, factor: float) -> None:
        self._factors.setdefault(link, []).append(factor)
        self._apply(link)

    def end(self, link: int, factor: float) -> None:
        self._factors[link].remove(factor)
        self._apply(link)

    def _apply(self, link: int) -> None:
        capacity = float(self._network.links.capacity[link])
        self._network.change(link, capacity * math.prod(self._factors[link]))


def surround(
    network: SharedNetwork, changes: Sequence[LinkChange], background: Sequence[Background]
) -> None:
    """Schedule *changes* of links and *background* traffic."""
    links, factors = network.links, _Factors(network)
    for one in changes:
        ends = [(one.source, one.target), (one.target, one.source)][: 1 + one.both_ways]
        directions = [links.index[pair] for pair in ends if pair in links.index]
        for link in dict.fromkeys(links.medium[directions].tolist()):
            network.env.at(one.at, NORMAL, partial(factors.begin, link, one.factor))
            if one.until is not None:
                network.env.at(one.until, NORMAL, partial(factors.end, link, one.factor))
    for two in background:
        for _ in range(two.flows):
            flow = _endless(network, two)
            network.env.at(two.at, NORMAL, partial(network.start, flow, _Nobody()))
            if two.until is not None:
                network.env.at(two.until, NORMAL, partial(network.cancel, flow))


class _Nobody:
    """Waits for a transfer that never ends."""

    def over(self, place: int, now: float) -> None:
        raise AssertionError("a background transfer has ended")


def _endless(network: SharedNetwork, one: Background) -> int:
    """A flow without an end; a rate of its own is a link that nobody else uses."""
    edges = network.router.routes([one.source], [one.target]).edges
    links, shares = network.links.medium[edges].tolist(), [1.0] * len(edges)
    directions = edges.tolist()
    if one.rate is not None:
        links.append(network.arena.add_links(np.array([one.rate / BITS_PER_BYTE])))
        directions.append(-1)
        shares.append(1.0)
    place = network.arena.add_flows(
        np.zeros(1, np.int64),
        np.array([len(links)]),
        math.inf,
        0.0,
        {"link": links, "direction": directions, "share": shares},
    )
    network.arena.weight[place] = one.weight
    return place
