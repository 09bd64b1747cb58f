"""Parameter servers: one value, changed in the order in which requests arrive."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from simulator.cluster.job import Params

if TYPE_CHECKING:
    from simulator.cluster.cluster import Cluster
    from simulator.cluster.worker import Worker


class Server:
    """A parameter server; it is a service and does not keep a run alive.

    Attributes
    ----------
    node
        Where it runs.
    params
        The value that workers pull and change.
    version
        Changes so far.
    """

    def __init__(self, cluster: Cluster, node: str):
        self.cluster, self.node = cluster, node
        self.params: Params = cluster.job.start
        self.version = 0
        self._pulled = [0] * len(cluster.workers)

    def __repr__(self) -> str:
        return f"server on {self.node}"

    def push_pull(self, worker: Worker, change: Params) -> Event:
        """Add *change*, then send the value back; fires with (parameters, staleness).

        Staleness is the number of changes by others since the worker's last pull.
        """
        apply = self.cluster.job.apply

        def add() -> tuple[Params, int]:
            self.params = apply(self.params, change)
            staleness = self.version - self._pulled[worker.rank]
            self.version += 1
            self._pulled[worker.rank] = self.version
            return self.params, staleness

        return self.exchange(worker, add)

    def exchange(self, worker: Worker, respond: Callable[[], Any]) -> Event:
        """One model up, one model down; *respond* runs when the request has arrived."""
        nbytes = self.cluster.nbytes
        return self.cluster.network.call(worker.node, self.node, nbytes, nbytes, respond)
