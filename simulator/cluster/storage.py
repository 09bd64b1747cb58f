"""Storage and the input pipeline: when the next batch is at hand."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from annotated_types import Ge, Le

from simulator.cluster.randomtimes import DURATIONS, Constant, Random, drawn_ahead
from simulator.cluster.workload import Workload
from simulator.engine import Streams
from simulator.registry import Registry
from simulator.units import BitsPerSecond, Seconds, transfer_time

Interval = tuple[float, float]
Load = Callable[[float], Interval]  # request time -> begin and end of the load, s


class StorageModel(Protocol):
    """A scenario's `storage`.

    `loader` gives, for one worker, a function that is called at each request for a
    batch and says when the loading of that batch began and ends; None if batches are
    always at hand.
    """

    def loader(self, worker: int, workload: Workload, streams: Streams) -> Load | None: ...


STORAGES: Registry[StorageModel] = Registry("storage")


@STORAGES.register("none")
@dataclass(frozen=True)
class NoStorage:
    """Batches are always at hand; loading takes no time."""

    def loader(self, worker: int, workload: Workload, streams: Streams) -> Load | None:
        del worker, workload, streams
        return None


@STORAGES.register("local-disk")
@dataclass(frozen=True)
class LocalDisk:
    """Every worker reads its batches from a disk of its own, one after the other.

    A load takes `latency` plus the bytes of the batch over `bandwidth`.  With
    ``read_ahead: 0`` it begins when the worker asks (blocking); with depth d a loader
    process keeps up to d batches loaded or being loaded ahead of the last one taken.
    """

    latency: Annotated[Random, DURATIONS] = field(default_factory=Constant)
    bandwidth: BitsPerSecond = 8e9
    read_ahead: Annotated[int, Ge(0), Le(10_000)] = 0

    def loader(self, worker: int, workload: Workload, streams: Streams) -> Load | None:
        transfer = transfer_time(workload.batch_size * workload.sample, self.bandwidth)
        latency = drawn_ahead(self.latency, streams.get("load", worker))

        def seconds() -> Seconds:
            return next(latency) + transfer

        if not self.read_ahead:
            return lambda now: (now, now + seconds())
        return buffered(seconds, self.read_ahead)


def buffered(seconds: Callable[[], float], depth: int) -> Load:
    """A loader process with a buffer of *depth* batches, worked out at each request.

    Load k begins when load k-1 has ended and batch k-depth has been taken; both are
    known when batch k is asked for, so no event is needed for the loader itself.

    >>> load = buffered(lambda: 1.0, depth=1)      # loads of 1 s, first one from t = 0
    >>> load(0.0), load(1.5), load(4.0)
    ((0.0, 1.0), (1.0, 2.0), (2.0, 3.0))
    """
    taken: deque[float] = deque([0.0] * depth, depth)
    ended = 0.0

    def load(now: float) -> Interval:
        nonlocal ended
        begin = max(ended, taken[0])
        ended = begin + seconds()
        taken.append(max(now, ended))
        return begin, ended

    return load
