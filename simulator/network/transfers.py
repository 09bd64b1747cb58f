"""Questions about transfers and collectives alone, without anybody who computes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from simpy.events import NORMAL, AllOf

from simulator.network.collectives import Plan
from simulator.network.fabric import Network
from simulator.network.shared import SharedNetwork


class Transfer(NamedTuple):
    """*nbytes* from *source* to *target*, from *start_s* on."""

    source: str
    target: str
    nbytes: float
    start_s: float


@dataclass
class Delivery:
    """When a transfer was over, and the link direction that limited it.

    Attributes
    ----------
    finish_s
        Seconds; None if it never ends.
    limit
        Ends of the direction that set its rate for most of its bytes; None if none did.
    """

    finish_s: float | None = None
    limit: tuple[str, str] | None = None


@dataclass
class _Carried:
    """Waits for one transfer."""

    network: SharedNetwork
    delivery: Delivery = field(default_factory=Delivery)

    def over(self, place: int, now: float) -> None:
        self.delivery.finish_s = now
        limit = int(self.network.arena.fluid.flows[place].limit)
        if 0 <= limit < len(self.network.links.ends):
            self.delivery.limit = self.network.links.ends[limit]


def deliveries(network: SharedNetwork, transfers: Sequence[Transfer]) -> list[Delivery]:
    """Let all *transfers* happen on *network*, whose clock has not begun.

    A transfer inside a node takes no time.
    """
    env, found = network.env, []

    def one(transfer: Transfer, carried: _Carried) -> None:
        if transfer.source == transfer.target:
            carried.delivery.finish_s = transfer.start_s
            return
        place = network.new_message(network.way(transfer.source, transfer.target))
        network.arena.amount[place] = transfer.nbytes
        network.start(place, carried)

    for transfer in transfers:
        carried = _Carried(network)
        found.append(carried.delivery)
        env.at(transfer.start_s, NORMAL, partial(one, transfer, carried))
    env.run()
    return found


def seconds_of(network: Network, plan: Plan, nodes: Sequence[str]) -> float | None:
    """How long *plan* takes if rank r runs on ``nodes[r]`` and all begin at once.

    The clock of *network* has not begun.  None if it never ends, because a link has failed.
    """
    prepared = network.prepare(plan, nodes, "all")
    play = network.play(prepared, plan.kind, lambda rank: None)
    ends = [play.wait(rank) for rank in range(plan.ranks)]
    for rank in range(plan.ranks):
        play.enter(rank)
    done = AllOf(network.env, ends)
    over: list[float] = []
    done.callbacks.append(lambda _: over.append(network.env.now))
    while not over and network.env.horizon < math.inf:
        network.env.step()
    return over[0] if over else None
