"""Equipment: what every worker computes with, how much of it, and how long that takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import heapify, heappop, heapreplace
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le

from simulator.cluster.devices import DEVICES
from simulator.cluster.layout import Layout, Numbers
from simulator.cluster.workload import Workload
from simulator.errors import InvalidInput
from simulator.registry import Name
from simulator.units import BitsPerSecond, Seconds

MOST_SAMPLES = 5_000_000
Share = Literal["equal-size", "equal-time"]


@dataclass(frozen=True)
class Nic:
    """The link of a host."""

    bandwidth: BitsPerSecond
    latency: Seconds | None = None


@dataclass(frozen=True)
class HostSettings:
    """What some hosts have that the others have not.

    `device` is another one than the workload's, `speed` how many times as fast its workers
    compute, `batch_size` the batch of each of them, and `host_link` the link to the network.
    """

    hosts: Numbers
    device: Annotated[str, Name(DEVICES, "device")] | None = None
    speed: Annotated[float, Gt(0), Le(1e6)] = 1.0
    batch_size: Annotated[int, Ge(1)] | None = None
    host_link: Nic | None = None


@dataclass(frozen=True)
class Equipment:
    """One entry per worker in everything, in rank order.

    Attributes
    ----------
    layout
        Who sits where.
    devices
        What they compute on.
    batches
        Samples per step of the full-size job.
    small_batches
        Samples per step of the small job.
    seconds
        Forward and backward pass of a step, undisturbed.
    speeds
        Factors on the speed of the device.
    """

    layout: Layout
    devices: tuple[str, ...]
    batches: tuple[int, ...]
    small_batches: tuple[int, ...]
    seconds: tuple[float, ...]
    speeds: tuple[float, ...]


def by_host(hosts: Sequence[HostSettings]) -> dict[int, HostSettings]:
    """What each host has that is named; nobody is in two entries."""
    return {number: one for one in hosts for number in one.hosts}


def equip(
    workload: Workload,
    hosts: Sequence[HostSettings],
    layout: Layout,
    small_batch: int,
    share: Share = "equal-size",
) -> Equipment:
    """What the workers have.

    Parameters
    ----------
    workload
        The full-size job.
    hosts
        What some hosts have.
    layout
        Who sits where.
    small_batch
        Of the small job, for a worker with `workload.batch_size`.
    share
        ``equal-time`` divides the samples of a step so that all workers take the same time.

    Raises
    ------
    InvalidInput
        If there is no figure for a device, or a batch lies outside of what was measured.
    """
    own = by_host(hosts)
    common = HostSettings(())
    settings = [own.get(host, common) for host in layout.hosts]
    devices = [one.device or workload.device for one in settings]
    batches: Sequence[int] = [one.batch_size or workload.batch_size for one in settings]

    def clock(rank: int) -> Callable[[float], float]:
        return lambda batch: workload.seconds(devices[rank], batch) / settings[rank].speed

    clocks = [clock(rank) for rank in range(layout.workers)]
    if share == "equal-time":
        kinds = [(one.device, one.speed) for one in settings]
        batches = equal_times(clocks, kinds, sum(batches))
    return Equipment(
        layout,
        tuple(devices),
        tuple(batches),
        tuple(max(1, round(small_batch * batch / workload.batch_size)) for batch in batches),
        tuple(seconds(batch) for seconds, batch in zip(clocks, batches, strict=True)),
        tuple(one.speed for one in settings),
    )


def equal_times(
    clocks: Sequence[Callable[[float], float]], kinds: Sequence[object], total: int
) -> list[int]:
    """Whole batches that add up to *total* and whose slowest takes as little time as possible.

    Sample after sample goes to whoever would be done with it first.

    Parameters
    ----------
    clocks
        Time of a batch by its size, not falling, one function per worker; it raises
        InvalidInput for a batch that it does not know.
    kinds
        Workers of the same kind have the same function.
    total
        Samples of all workers.

    Raises
    ------
    InvalidInput
        If the smallest batches are too many samples, or the largest too few.

    >>> equal_times([lambda b: b, lambda b: 3 * b], [0, 1], 8)
    [6, 2]
    """
    if total > MOST_SAMPLES:
        raise InvalidInput(
            f"{total:,} samples a step are too many to be divided; at most {MOST_SAMPLES:,}"
        )
    known: dict[tuple[object, int], float | None] = {}

    def seconds(rank: int, batch: int) -> float | None:
        key = kinds[rank], batch
        if key not in known:
            try:
                known[key] = clocks[rank](batch)
            except InvalidInput:
                known[key] = None
        return known[key]

    batches = [_smallest(partial(seconds, rank), total) for rank in range(len(clocks))]
    left = total - sum(batches)
    if left < 0:
        raise InvalidInput(
            f"{len(batches)} workers cannot share {total} samples so that all take the same "
            f"time: their smallest batches make {sum(batches)}"
        )
    heap = [(seconds(rank, size + 1), size, rank) for rank, size in enumerate(batches)]
    heap = [entry for entry in heap if entry[0] is not None]
    heapify(heap)
    for _ in range(left):
        if not heap:
            raise InvalidInput(f"batches of {total} samples in all are larger than is known")
        _, size, rank = heap[0]
        batches[rank] = size + 1
        following = seconds(rank, size + 2)
        if following is None:
            heappop(heap)
        else:
            heapreplace(heap, (following, size + 1, rank))
    return batches


def _smallest(seconds: Callable[[int], float | None], most: int) -> int:
    """The smallest batch of at least one sample whose time is known."""
    return next((size for size in range(1, most) if seconds(size) is not None), most)
