"""Disks of the hosts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from simpy.events import Event

from simulator.cluster.randomtimes import DURATIONS, Constant, Random
from simulator.cluster.storage.base import STORAGES, InputPipeline, Latencies, Site, Store, Transfer
from simulator.units import BitsPerSecond, transfer_time


@STORAGES.register("local-disk")
@dataclass(frozen=True, kw_only=True)
class LocalDisk(InputPipeline):
    """Every worker reads its batches from a disk, one after the other.

    A read takes `latency` plus the bytes over `bandwidth`.  By default every worker has a
    disk of its own; with ``shared: true`` there is one for all workers of a host, first
    come first served.
    """

    latency: Annotated[Random, DURATIONS] = field(default_factory=Constant)
    bandwidth: BitsPerSecond = 8e9
    shared: bool = False

    def mount(self, site: Site) -> Store:
        return Disks(site, self)


class Disks:
    """One disk for every worker, or for every host."""

    def __init__(self, site: Site, model: LocalDisk):
        workers = range(site.layout.workers)
        self._env, self._model = site.env, model
        alone = not model.shared and model.processes == 1 and not site.saves
        self.seconds = self._seconds if alone else None
        self._latencies = Latencies(model.latency, site)
        self._disk = list(site.layout.hosts) if model.shared else list(workers)
        self._free = dict.fromkeys(self._disk, 0.0)  # when a disk has served all that asked, s

    def _seconds(self, worker: int, nbytes: float, number: int | None) -> float:
        """How long the disk is busy with a read or write of *worker*."""
        return self._latencies.of(worker, number) + transfer_time(nbytes, self._model.bandwidth)

    def read(self, worker: int, nbytes: float, number: int | None = None) -> Event:
        """Event that fires when *nbytes* have been read, behind those who asked before."""
        now, disk = self._env.now, self._disk[worker]
        self._free[disk] = max(now, self._free[disk]) + self._seconds(worker, nbytes, number)
        event = Transfer(self._env, "a disk")
        event.finish(self._free[disk] - now)
        return event

    write = read
