"""A file system that all hosts share, behind one link of the cluster's network."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from simpy.events import Event

from simulator.cluster.randomtimes import DURATIONS, Constant, Random
from simulator.cluster.storage.base import STORAGES, InputPipeline, Latencies, Site, Store, Transfer
from simulator.engine import Activity
from simulator.units import BitsPerSecond


@STORAGES.register("shared-filesystem")
@dataclass(frozen=True, kw_only=True)
class SharedFilesystem(InputPipeline):
    """One server, an extra host whose link has `bandwidth`; all hosts read from it.

    A read waits `latency` and then goes through the same links as the gradients, where
    both slow each other down.  In the topology the server is called ``storage0``.
    """

    latency: Annotated[Random, DURATIONS] = field(default_factory=Constant)
    bandwidth: BitsPerSecond = 20e9

    attached: ClassVar[bool] = True

    def mount(self, site: Site) -> Store:
        return FileServer(site, self)


class FileServer:
    """The server: reads and writes are messages from and to its node."""

    seconds = None  # everybody is on the same links

    def __init__(self, site: Site, model: SharedFilesystem):
        assert site.node is not None
        self._env, self._network, self._node = site.env, site.network, site.node
        self._hosts = [site.network.router.host[node] for node in site.nodes]
        self._latencies = Latencies(model.latency, site)

    def read(self, worker: int, nbytes: float, number: int | None = None) -> Event:
        """Event that fires when *nbytes* have arrived at the host of *worker*."""
        return self._after_latency(
            self._latencies.of(worker, number),
            lambda: self._network.send(self._node, self._hosts[worker], nbytes, "read"),
        )

    def write(self, worker: int, nbytes: float) -> Event:
        """Event that fires when *nbytes* have arrived at the server."""
        return self._after_latency(
            self._latencies.of(worker, None),
            lambda: self._network.send(self._hosts[worker], self._node, nbytes, "write"),
        )

    def _after_latency(self, latency: float, begin: Callable[[], Event]) -> Event:
        event = Transfer(self._env, "the shared file system")
        self._env.service(self._carry(latency, begin, event))
        return event

    def _carry(
        self, latency: float, begin: Callable[[], Event], event: Activity
    ) -> Generator[Event, Any, None]:
        if latency:
            yield self._env.timeout(latency)
        yield begin()
        event.fire(None)
