"""Mixing: neighbours that send each other their models."""

from __future__ import annotations

from collections.abc import Sequence

from simpy.events import Event

from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.network import Mail
from simulator.network.group import mean_of


def tell(mail: Mail, rank: int, others: Sequence[int], params: Params) -> list[Event]:
    """Send *params* to all *others*; events of their arrivals."""
    return [mail.send(rank, other, params) for other in others]


def mix(mail: Mail, rank: int, others: Sequence[int], own: Params) -> Process:
    """Wait for the next model of each of *others*; the mean of them and *own*, in rank order."""
    models = {rank: own}
    for other, sent in [(other, mail.receive(rank, other)) for other in others]:
        models[other] = yield sent
    return mean_of(models[one] for one in sorted(models))
