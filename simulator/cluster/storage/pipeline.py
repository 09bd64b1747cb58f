"""Loaders: each worker's processes that read, decode and keep batches ready."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from simpy.events import Event

from simulator.cluster.accounting import IO, Lane
from simulator.cluster.equipment import Equipment
from simulator.cluster.storage.base import InputPipeline, Nothing, Store, Transfer
from simulator.cluster.workload import Workload
from simulator.engine import Clock, done
from simulator.units import transfer_time


class Loader(Protocol):
    """A worker's input pipeline: `take` gives the event of the next batch, in order.

    After `restart` the batch that the worker waited for, and did not get, is the next
    one; `close` tells that the run has ended.
    """

    def take(self, batch: Any) -> Event: ...

    def restart(self) -> None: ...

    def close(self, end: float) -> None: ...


def loader_of(
    worker: int,
    env: Clock,
    lane: Lane,
    store: Store,
    pipeline: InputPipeline,
    reads: Reads,
) -> Loader:
    """The loader of *worker*; one without processes where nobody else can delay it."""
    if isinstance(store, Nothing):
        return AtHand(env)
    kind = Processes if store.seconds is None else Foreseen
    return kind(worker, env, lane, store, pipeline, reads)


class AtHand:
    """A loader that never has to load anything."""

    def __init__(self, env: Clock):
        self._env = env

    def take(self, batch: Any) -> Event:
        """Event of the next batch, which is over already."""
        return done(self._env, batch)

    def restart(self) -> None:
        """Nobody waits."""

    def close(self, end: float) -> None:
        """Nothing was loaded."""


def without(wanted: Sequence[float], unwanted: Sequence[float]) -> Iterator[tuple[float, float]]:
    """Times that lie in one of the intervals *wanted* and in none of *unwanted*.

    Intervals are given as begin, end, begin, end and so on, in any order.

    >>> list(without([0.0, 3.0, 2.0, 6.0, 8.0, 9.0], [1.0, 2.5, 8.0, 10.0]))
    [(0.0, 1.0), (2.5, 6.0)]
    """
    both = np.concatenate([np.asarray(wanted, float), np.asarray(unwanted, float)])
    order = np.argsort(both, kind="stable")
    change = np.tile([1, -1], len(both) // 2)
    inside = np.arange(len(both)) < len(wanted)
    covered = np.cumsum(np.where(inside, change, 0)[order]) > 0
    free = np.cumsum(np.where(inside, 0, change)[order]) == 0
    times, shown = both[order], covered & free
    edges = np.diff(np.concatenate([[False], shown, [False]]).astype(np.int8))
    begins, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    for begin, end in zip(times[begins].tolist(), times[ends].tolist(), strict=True):
        if end > begin:
            yield begin, end


class Reads:
    """How many bytes each of a worker's batches is read with, and the samples it has.

    Parameters
    ----------
    batch_size
        Samples of a batch of the full-size job.
    sample
        Bytes of a sample.
    epoch
        Batches of this worker in the first epoch.
    missing
        Share of the bytes that is read again in later epochs, for want of page cache.
    tensor
        Bytes of a sample when it is decoded.
    """

    def __init__(
        self, batch_size: float, sample: float, epoch: float, missing: float, tensor: float = 0.0
    ):
        self.batch_size, self._full, self.tensor = batch_size, batch_size * sample, tensor
        self._epoch, self._missing = epoch, missing

    def nbytes(self, number: int) -> float | None:
        """Bytes to read for batch *number*; None if all of it is in the page cache."""
        if number < self._epoch:
            return self._full
        return self._full * self._missing if self._missing else None


class _Pipeline:
    """What both kinds of loaders are made of."""

    def __init__(
        self,
        worker: int,
        env: Clock,
        lane: Lane,
        store: Store,
        pipeline: InputPipeline,
        reads: Reads,
    ):
        self._worker, self._env, self._lane, self._store = worker, env, lane, store
        self._processes, self._depth, self._reads = pipeline.processes, pipeline.depth, reads
        self._decode = pipeline.decode * reads.batch_size
        tensor = reads.tensor if pipeline.tensor is None else pipeline.tensor
        nbytes = tensor * reads.batch_size
        self._copy = transfer_time(nbytes, rate) if (rate := pipeline.host_to_device) else 0.0
        self._taken = 0  # batches so far
        self._loads, self._waits = array("d"), array("d")  # begin, end, begin, end ...

    def _give(self, batch: Any, begin: float, end: float) -> Event:
        """The event of a batch that is loaded from *begin* to *end*."""
        env = self._env
        now = env.now
        wait = max(end, now) + self._copy - now
        if self._depth:  # else the worker waits for all of it
            self._loads.extend((begin, end))
            self._waits.extend((now, now + wait))
        if wait <= 0:
            return done(env, batch)
        event = self._event()
        event.finish(wait, batch)
        return event

    def _event(self) -> Transfer:
        return Transfer(self._env, "a batch from storage")

    def restart(self) -> None:
        """Nothing to do where nobody waits for a process."""

    def close(self, end: float) -> None:
        """Enter what was loaded until *end* while the worker did not wait for it."""
        for begin, until in without(self._loads, self._waits):
            self._lane.beside("loader", IO, begin, min(until, end))


class Foreseen(_Pipeline):
    """A loader whose times depend on nobody else, worked out at each request.

    Batch k is loaded by process k mod P.  It begins when that process has loaded batch
    k-P and batch k-d has been taken, for a depth of d; both are known when batch k is asked
    for, so no event is needed for the processes themselves.
    """

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        assert self._store.seconds is not None
        self._seconds = self._store.seconds
        self._ended = deque([0.0] * self._processes, self._processes)
        self._freed = deque([0.0] * self._depth, self._depth)

    def take(self, batch: Any) -> Event:
        """Event of the next batch."""
        now = self._env.now
        begin = max(self._ended[0], self._freed[0] if self._depth else now)
        nbytes = self._reads.nbytes(self._taken)
        reading = 0.0 if nbytes is None else self._seconds(self._worker, nbytes, self._taken)
        end = begin + reading + self._decode
        self._ended.append(end)
        self._freed.append(max(now, end))
        self._taken += 1
        return self._give(batch, begin, end)


class Processes(_Pipeline):
    """Loader processes that compete with others for storage and links."""

    def __init__(self, *arguments: Any):
        super().__init__(*arguments)
        self._times: dict[int, tuple[float, float]] = {}  # of loaded batches, not yet taken
        self._waiting: tuple[int, float, Any, Transfer] | None = None
        self._asleep: deque[Event] = deque()  # of processes that may not go on yet
        self._asked = 0
        if self._depth:
            for first in range(self._processes):
                self._env.service(self._process(first))

    def take(self, batch: Any) -> Event:
        """Event of the next batch."""
        number, env = self._asked, self._env
        self._asked += 1
        if not self._depth:
            event = self._event()
            env.service(self._on_request(number, batch, event))
            return event
        if number in self._times:
            given = self._give(batch, *self._times.pop(number))
            self._take_away()
            return given
        event = self._event()
        self._waiting = (number, env.now, batch, event)
        return event

    def restart(self) -> None:
        """Let the worker ask anew for the batch that it waited for."""
        if self._waiting is not None:
            self._asked, self._waiting = self._waiting[0], None

    def _on_request(self, number: int, batch: Any, event: Transfer) -> Generator[Event, Any, None]:
        yield from self._load(number)
        self._hand(batch, event)

    def _load(self, number: int) -> Generator[Event, Any, None]:
        nbytes = self._reads.nbytes(number)
        if nbytes is not None:
            yield self._store.read(self._worker, nbytes, number)
        if self._decode:
            yield self._env.timeout(self._decode)

    def _process(self, first: int) -> Generator[Event, Any, None]:
        """One loader process: every P-th batch, as long as the buffer has room."""
        number = first
        while True:
            while number >= self._taken + self._depth:
                self._asleep.append(self._env.event())
                yield self._asleep[-1]
            begin = self._env.now
            yield from self._load(number)
            self._loaded(number, begin)
            number += self._processes

    def _loaded(self, number: int, begin: float) -> None:
        now = self._env.now
        if self._waiting is None or self._waiting[0] != number:
            self._times[number] = begin, now
            return
        _, asked, batch, event = self._waiting
        self._waiting = None
        self._loads.extend((begin, now))
        self._waits.extend((asked, now + self._copy))
        self._take_away()
        self._hand(batch, event)

    def _hand(self, batch: Any, event: Transfer) -> None:
        """Give *batch* to the worker that waits for it, after its copy."""
        event.finish(self._copy, batch)

    def _take_away(self) -> None:
        """A place in the buffer is free: wake those who wait for one."""
        self._taken += 1
        asleep, self._asleep = self._asleep, deque()
        for event in asleep:
            event.succeed()


def reads_of_all(workload: Workload, equipment: Equipment, pipeline: InputPipeline) -> list[Reads]:
    """What every worker reads.

    The data set is divided among the workers in proportion to their batches, once and for
    all, so that a host reads the same samples in every epoch.
    """
    total = sum(equipment.batches)
    nbytes = [0.0] * len(equipment.layout.host_nodes)  # of each host's part of the data set
    whole = workload.dataset_samples * workload.sample_nbytes
    for host, batch in zip(equipment.layout.hosts, equipment.batches, strict=True):
        nbytes[host] += whole * batch / total
    missing = [max(0.0, 1 - pipeline.page_cache / part) if part else 0.0 for part in nbytes]
    epoch = workload.dataset_samples / total
    return [
        Reads(batch, workload.sample_nbytes, epoch, missing[host], workload.tensor_nbytes)
        for host, batch in zip(equipment.layout.hosts, equipment.batches, strict=True)
    ]
