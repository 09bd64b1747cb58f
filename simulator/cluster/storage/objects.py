"""Object stores: every request has a latency, and many run at the same time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapreplace
from typing import Annotated

from annotated_types import Ge, Le
from simpy.events import Event

from simulator.cluster.randomtimes import DURATIONS, Lognormal, Random, drawn_ahead
from simulator.cluster.storage.base import STORAGES, InputPipeline, Site, Store, Transfer
from simulator.units import BitsPerSecond, Unit, transfer_time


@STORAGES.register("object-store")
@dataclass(frozen=True, kw_only=True)
class ObjectStore(InputPipeline):
    """Objects of `object` bytes are fetched over `connections` connections per process.

    A request takes `latency` to its first byte, and its bytes over `bandwidth`; the next
    one begins when a connection is free.  The store itself is never the bottleneck, and
    its traffic does not use the cluster's links.  The defaults are what AWS says of S3: 100
    to 200 ms to the first byte, 85 to 90 MB/s a connection (S3 user guide, "Optimizing
    performance").
    """

    latency: Annotated[Random, DURATIONS] = field(default_factory=lambda: Lognormal(0.15, 0.3))
    bandwidth: BitsPerSecond = 700e6
    connections: Annotated[int, Ge(1), Le(10_000)] = 16
    object: Annotated[float, Unit("B", positive=True)] = 1e6

    def mount(self, site: Site) -> Store:
        return Requests(site, self)


class Requests:
    """The connections of every worker."""

    def __init__(self, site: Site, model: ObjectStore):
        self._env, self._model = site.env, model
        self._loads, self._others = (
            [
                drawn_ahead(model.latency, site.streams.get(purpose, rank))
                for rank in range(site.layout.workers)
            ]
            for purpose in ("load", "checkpoint")
        )

    def seconds(self, worker: int, nbytes: float, number: int) -> float:
        """Seconds until the last of the objects that make up the next batch is there."""
        del number
        return self._fetched(nbytes, self._loads[worker])

    def _fetched(self, nbytes: float, latencies: Iterator[float]) -> float:
        model = self._model
        count = math.ceil(nbytes / model.object)
        if not count:
            return 0.0
        transfer = transfer_time(nbytes / count, model.bandwidth)
        free = [0.0] * min(count, model.connections)  # a heap of times
        for _ in range(count):
            heapreplace(free, free[0] + next(latencies) + transfer)
        return max(free)

    def read(self, worker: int, nbytes: float, number: int | None = None) -> Event:
        """Event that fires when *nbytes* have been fetched."""
        event = Transfer(self._env, "an object store")
        latencies = self._others if number is None else self._loads
        event.finish(self._fetched(nbytes, latencies[worker]))
        return event

    write = read
