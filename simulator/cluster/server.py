"""Parameter servers: one value, changed in the order in which requests arrive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from simpy.events import Event

from simulator.cluster.job import Params
from simulator.engine import Composite, Together, when_over
from simulator.engine.values import frozen

if TYPE_CHECKING:
    from simulator.cluster.cluster import Cluster
    from simulator.cluster.worker import Worker

Answer = Callable[[], Any]
Reply = Callable[[Any], None]


class Server:
    """A parameter server; it is a service and does not keep a run alive.

    Its value may be cut into equal contiguous shards, each on a node of its own with a NIC of
    its own: every request then goes to all of them at once, and each adds and answers by
    itself.  A shard does one thing at a time; nobody sees half of a change to it.

    Attributes
    ----------
    nodes
        Where its shards are.
    parts
        Slice of the parameters of every shard.
    version
        Changes of the first shard so far.
    """

    def __init__(self, cluster: Cluster, nodes: Sequence[str]):
        self.cluster, self.nodes = cluster, list(nodes)
        self.parts = shards(len(cluster.job.start), len(self.nodes))
        self._values: list[Params] = [cluster.job.start[part] for part in self.parts]
        if len(self.nodes) == 1:
            self._values = [cluster.job.start]
        self.version = 0
        self._pulled = [0] * len(cluster.workers)

    def __repr__(self) -> str:
        return f"server on {', '.join(self.nodes)}"

    @property
    def node(self) -> str:
        """Where its first shard is."""
        return self.nodes[0]

    @property
    def params(self) -> Params:
        """The value that workers pull and change."""
        return joined(self._values)

    def add(self, worker: Worker, change: Params, shard: int = 0) -> tuple[Params, int]:
        """Add *change* to a shard: its new value, and what the worker's gradient missed.

        That is the number of changes by others since the worker last got a value.
        """
        self._values[shard] = value = self.cluster.job.apply(self._values[shard], change)
        if shard:
            return value, 0
        staleness = self.version - self._pulled[worker.rank]
        self.version += 1
        self._pulled[worker.rank] = self.version
        return value, staleness

    def shift(self, change: Params) -> None:
        """Move the value of the first shard by *change*, which is no worker's."""
        self._values[0] = self.cluster.job.apply(self._values[0], change)

    def value(self, worker: Worker, shard: int = 0) -> Params:
        """The value of a shard, which the worker gets."""
        if not shard:
            self._pulled[worker.rank] = self.version
        return self._values[shard]

    def push_pull(self, worker: Worker, change: Params, *, pull_first: bool = False) -> Event:
        """Add *change*, then send the value back; fires with (parameters, staleness).

        With *pull_first* the value sent back is the one before.
        """
        respond = self._value_then_add if pull_first else self.add
        if len(self.nodes) == 1:
            return self.exchange(worker, partial(respond, worker, change))
        return self._all(
            worker,
            [partial(respond, worker, change[part], k) for k, part in enumerate(self.parts)],
            lambda answers: (joined([value for value, _ in answers]), answers[0][1]),
        )

    def push(self, worker: Worker, change: Params) -> Event:
        """Add *change*; fires with its staleness when the server has acknowledged it."""
        since = self._pulled[worker.rank]  # a pull may overtake it
        return self._all(
            worker,
            [
                partial(self.count, worker, change[part], k, since)
                for k, part in enumerate(self.parts)
            ],
            lambda answers: answers[0],
            down=0.0,
        )

    def pull(self, worker: Worker) -> Event:
        """Event whose value is the server's, as it was when the request had arrived."""
        handlers = [partial(self.value, worker, k) for k in range(len(self.nodes))]
        return self._all(worker, handlers, joined, up=0.0)

    def ask(
        self,
        worker: Worker,
        arrived: Callable[[Reply], None],
        up: float | None = None,
        down: float | None = None,
    ) -> Event:
        """As `exchange`, for a request that others may notice or whose answer may have to wait.

        ``arrived(reply)`` runs at the very instant at which it has arrived; ``reply(value)``,
        some time, sends the answer, with *value* as that of the event.
        """
        network, node, dense = self.cluster.network, self.nodes[0], self.cluster.nbytes
        answer = Composite(self.cluster.env, f"the answer of {self!r}")

        def reply(value: Any) -> None:
            back = network.send(node, worker.node, dense if down is None else down, "pull")
            answer.parts = (there, back)
            when_over(back, lambda: answer.fire(value))

        there = network.send(worker.node, node, dense if up is None else up, "push")
        answer.parts = (there,)
        when_over(there, lambda: arrived(reply))
        return answer

    def exchange(
        self, worker: Worker, respond: Answer, up: float | None = None, down: float | None = None
    ) -> Event:
        """Bytes to the first shard and back; *respond* gives the answer to what has arrived.

        Requests are answered in the order of their arrival, but an answer may be made up as late
        as it is needed (docs/decisions/0002).
        """
        return self._call(worker, 0, respond, up, down)

    def _value_then_add(self, worker: Worker, change: Params, shard: int = 0) -> tuple[Params, int]:
        before = self._values[shard]
        _, staleness = self.add(worker, change, shard)
        return before, staleness

    def count(
        self, worker: Worker, change: Params, shard: int = 0, since: int | None = None
    ) -> int:
        """As `add` for a worker that gets nothing but the staleness of what it gave.

        *since* is how many changes the value had had that its gradient was taken at.
        """
        held, version = self._pulled[worker.rank], self.version
        self.add(worker, change, shard)
        if not shard:
            self._pulled[worker.rank] = held + 1  # its own change is none that it misses
        return version - (held if since is None else since)

    def _all(
        self,
        worker: Worker,
        handlers: Sequence[Answer],
        combine: Callable[[list[Any]], Any],
        up: float | None = None,
        down: float | None = None,
    ) -> Event:
        calls = [self._call(worker, k, one, up, down) for k, one in enumerate(handlers)]
        label = f"the answers of {self!r}"
        return Together(self.cluster.env, label, calls, combine)

    def _call(
        self, worker: Worker, shard: int, respond: Answer, up: float | None, down: float | None
    ) -> Event:
        part = self.parts[shard]
        share = (part.stop - part.start) / self.parts[-1].stop
        dense = self.cluster.nbytes * share
        return self.cluster.network.call(
            worker.node,
            self.nodes[shard],
            dense if up is None else up,
            dense if down is None else down,
            respond,
        )


def shards(size: int, count: int) -> list[slice]:
    """*count* contiguous parts of nearly equal length.

    >>> shards(5, 2)
    [slice(0, 3, None), slice(3, 5, None)]
    """
    ends = np.cumsum([len(part) for part in np.array_split(np.empty(size), count)]).tolist()
    return [slice(first, last) for first, last in zip([0, *ends[:-1]], ends, strict=True)]


def joined(values: Sequence[Params]) -> Params:
    """The shards' values as one vector."""
    return values[0] if len(values) == 1 else frozen(np.concatenate(values))
