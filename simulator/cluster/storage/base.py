"""What storage is to the workers, and the registry of all kinds of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Protocol

from annotated_types import Ge, Le
from simpy.events import Event

from simulator.cluster.layout import Layout
from simulator.cluster.randomtimes import Random, drawn_ahead
from simulator.engine import Activity, Clock, Streams, done
from simulator.network import Network
from simulator.registry import Registry
from simulator.units import BitsPerSecond, Bytes, Seconds


@dataclass(frozen=True, kw_only=True)
class InputPipeline:
    """How batches get from storage into a worker's device, whatever the storage is.

    Every worker has `num_workers` loader processes; each loads a whole batch, one after
    the other: it reads the batch and then decodes it for `decode` seconds a sample.  They
    keep up to `read_ahead` batches loaded, or being loaded, ahead of the last one taken, by
    default two for each process as in PyTorch.  With ``read_ahead: 0`` loading begins when
    the worker asks for the batch; so it does with ``num_workers: 0``, unless `read_ahead`
    is given, which takes one process.  The batch a worker takes is copied to its device
    at `host_to_device`, `tensor` bytes a sample (by default those of the preset's input);
    without it that takes no time.

    After the first epoch of the full-size job the part of a worker's data that fits into
    its host's `page_cache` is not read any more.
    """

    num_workers: Annotated[int, Ge(0), Le(1024)] = 0
    read_ahead: Annotated[int, Ge(0), Le(10_000)] | None = None
    decode: Seconds = 0.0
    host_to_device: BitsPerSecond | None = None
    tensor: Bytes | None = None
    page_cache: Bytes = 0.0

    attached: ClassVar[bool] = False

    @property
    def pipeline(self) -> InputPipeline:
        """Itself: every storage with a pipeline has these settings among its own."""
        return self

    @property
    def processes(self) -> int:
        """Loader processes of a worker, or the worker itself."""
        return max(1, self.num_workers)

    @property
    def depth(self) -> int:
        """Batches ahead of the last one taken."""
        return 2 * self.num_workers if self.read_ahead is None else self.read_ahead


@dataclass(frozen=True, eq=False)
class Site:
    """Where storage is used.

    Attributes
    ----------
    env, network
        Clock and links.
    nodes
        Of the workers, in rank order.
    node
        Of the storage, if it has one.
    layout
        Who sits where.
    streams
        Latencies of worker i come from stream ``("load", i)``, batch by batch, those of
        checkpoints from ``("checkpoint", i)``.
    saves
        Whether checkpoints are written.
    """

    env: Clock
    network: Network
    nodes: Sequence[str]
    node: str | None
    layout: Layout
    streams: Streams
    saves: bool = False


class Latencies:
    """A latency for every read of every worker, whatever order they come in.

    Batch k of worker i has the k-th draw of the worker's stream; what has no number, a
    checkpoint, draws from another one.
    """

    def __init__(self, source: Random, site: Site):
        workers, streams = range(site.layout.workers), site.streams
        self._loads = [drawn_ahead(source, streams.get("load", rank)) for rank in workers]
        self._others = [drawn_ahead(source, streams.get("checkpoint", rank)) for rank in workers]
        self._following = [0] * len(workers)
        self._unused: list[dict[int, float]] = [{} for _ in workers]

    def of(self, worker: int, number: int | None) -> float:
        """Latency of batch *number*, or of something else."""
        if number is None:
            return next(self._others[worker])
        unused = self._unused[worker]
        while self._following[worker] <= number:
            unused[self._following[worker]] = next(self._loads[worker])
            self._following[worker] += 1
        return unused.pop(number)


class Store(Protocol):
    """Storage in a cluster.

    `read` and `write` begin at once and fire when they are done; a read of a batch has its
    *number*.  Where a read depends on nobody else ``seconds(worker, nbytes, number)`` says in
    advance how long it takes; elsewhere `seconds` is None.
    """

    @property
    def seconds(self) -> Callable[[int, float, int], float] | None: ...

    def read(self, worker: int, nbytes: float, number: int | None = None) -> Event: ...

    def write(self, worker: int, nbytes: float) -> Event: ...


class Transfer(Activity):
    """A read, a write or a batch under way: who waits for it waits for I/O."""

    kind = "io"


class StorageModel(Protocol):
    """A scenario's `storage`.

    Where it is *attached* it gets an extra host, whose link has its `bandwidth`; `mount`
    puts it into a cluster.
    """

    attached: ClassVar[bool]

    @property
    def pipeline(self) -> InputPipeline: ...

    def mount(self, site: Site) -> Store: ...


STORAGES: Registry[StorageModel] = Registry("storage")


class Nothing:
    """Reads and writes take no time."""

    seconds = None

    def __init__(self, env: Clock):
        self._env = env

    def read(self, worker: int, nbytes: float, number: int | None = None) -> Event:
        del worker, nbytes, number
        return done(self._env, None)

    write = read


@STORAGES.register("none")
@dataclass(frozen=True)
class NoStorage:
    """Batches are always at hand; loading takes no time, and neither do checkpoints."""

    attached: ClassVar[bool] = False

    @property
    def pipeline(self) -> InputPipeline:
        """Nothing to wait for."""
        return InputPipeline()

    def mount(self, site: Site) -> Store:
        return Nothing(site.env)
