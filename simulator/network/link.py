"""Link directions: every direction of every link of a topology, as arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from simulator.units import transfer_time

if TYPE_CHECKING:
    import networkx as nx


class Links:
    """Every link direction of a topology under a number.

    A full-duplex link has two directions, which do not share anything.

    Attributes
    ----------
    ends
        (source, target) of each direction, in file order.
    latency
        Seconds, shape (directions,).
    seconds_per_byte
        Inverse bandwidth, shape (directions,).
    index
        Direction number by (source, target).
    """

    def __init__(self, graph: nx.Graph[str]):
        self.ends: list[tuple[str, str]] = []
        latency, bandwidth = [], []
        for u, v, data in graph.edges(data=True):
            for ends in [(u, v)] if graph.is_directed() else [(u, v), (v, u)]:
                self.ends.append(ends)
                latency.append(data["latency"])
                bandwidth.append(data["bandwidth"])
        self.latency = np.array(latency, float)
        self.seconds_per_byte = np.array([transfer_time(1.0, rate) for rate in bandwidth])
        self.index = {ends: number for number, ends in enumerate(self.ends)}
