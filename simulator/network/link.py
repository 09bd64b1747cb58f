"""Link directions: every direction of every link of a topology, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.units import BITS_PER_BYTE, transfer_time

if TYPE_CHECKING:
    import networkx as nx


class Links:
    """Every link direction of a topology under a number.

    A full-duplex link has two directions, which do not share anything; the two
    directions of a link with ``duplex="half"`` share one bandwidth.

    Attributes
    ----------
    ends
        (source, target) of each direction, in file order.
    latency
        Seconds, shape (directions,).
    capacity
        Bytes per second, shape (directions,).
    seconds_per_byte
        Inverse bandwidth, shape (directions,).
    medium
        Number of the direction whose bandwidth a direction uses, shape (directions,): its
        own, or that of the other direction of a half-duplex link.
    index
        Direction number by (source, target).
    """

    def __init__(self, graph: nx.Graph[str]):
        self.ends: list[tuple[str, str]] = []
        latency, bandwidth, medium = [], [], []
        self.index: dict[tuple[str, str], int] = {}
        for u, v, data in graph.edges(data=True):
            for ends in [(u, v)] if graph.is_directed() else [(u, v), (v, u)]:
                own = self.index[ends] = len(self.ends)
                shared = data.get("duplex", "full") == "half"
                medium.append(self.index.get(ends[::-1], own) if shared else own)
                self.ends.append(ends)
                latency.append(data["latency"])
                bandwidth.append(data["bandwidth"])
        self.latency = np.array(latency, float)
        self.capacity = np.array(bandwidth, float) / BITS_PER_BYTE
        self.seconds_per_byte = np.array([transfer_time(1.0, rate) for rate in bandwidth])
        self.medium = np.array(medium, np.int64)
