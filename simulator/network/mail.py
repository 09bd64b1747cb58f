"""Mail: values sent from one rank to another, without anybody else.

Messages from one rank to another arrive in the order in which they were sent.  Nobody
who sends waits for the receiver, and who receives waits only for the message.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

from simpy.events import Event

from simulator.engine import Composite
from simulator.engine.values import frozen
from simulator.network.fabric import Network


class Mail:
    """Post offices of ordered ranks.

    Parameters
    ----------
    network
        What carries the messages.
    nodes
        Node of every rank.
    nbytes
        Size of a message unless `send` says otherwise, B.
    """

    def __init__(self, network: Network, nodes: Sequence[str], nbytes: float):
        self._network, self._nodes, self.nbytes = network, list(nodes), nbytes
        self.env = network.env
        # By source and target: messages that were sent or waited for, but not yet both.
        self._sent: dict[tuple[int, int], deque[Composite]] = {}
        self._awaited: dict[tuple[int, int], deque[Composite]] = {}

    def send(self, rank: int, target: int, value: Any, nbytes: float | None = None) -> Event:
        """Event that fires when *value* has arrived at rank *target*."""
        way = (rank, target)
        awaited = self._awaited.get(way)
        if awaited:
            delivery = awaited.popleft()
        else:
            delivery = self._new(rank, target)
            self._sent.setdefault(way, deque()).append(delivery)
        size = self.nbytes if nbytes is None else nbytes
        transfer = self._network.send(self._nodes[rank], self._nodes[target], size)
        delivery.parts = (transfer,)
        if transfer.callbacks is None:  # within a node
            delivery.fire(frozen(value))
        else:
            transfer.callbacks.append(partial(_arrived, delivery, frozen(value)))
        return delivery

    def receive(self, rank: int, source: int) -> Event:
        """Event whose value is the next message from rank *source*."""
        way = (source, rank)
        sent = self._sent.get(way)
        if sent:
            return sent.popleft()
        delivery = self._new(source, rank)
        self._awaited.setdefault(way, deque()).append(delivery)
        return delivery

    def _new(self, source: int, target: int) -> Composite:
        return Composite(self._network.env, f"a message from rank {source} to rank {target}")


def _arrived(delivery: Composite, value: Any, _: Event) -> None:
    delivery.fire(value)
