"""The interface of a network, whatever its fidelity, and what all fidelities share.

A network turns bytes into seconds on a topology.  Every operation starts when it is
called and returns an event.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from simulator.engine import Clock
from simulator.network.collectives import Plan
from simulator.network.link import Links
from simulator.network.routing import Router

MESSAGE_KINDS = (
    "message",
    "push",
    "pull",
    "all-reduce",
    "reduce",
    "broadcast",
    "all-gather",
    "reduce-scatter",
    "barrier",
    "gather",
    "scatter",
    "all-to-all",
    "read",
    "write",
    "activation",
)


@dataclass(frozen=True)
class Carrier:
    """Who carries messages: a route, or a plan played by a group.

    Attributes
    ----------
    source, target
        Names for the `messages` table; a collective has its group's name and no target.
    """

    source: str
    target: str


@dataclass(frozen=True, eq=False)
class Traffic:
    """What a network has carried.

    Attributes
    ----------
    nbytes
        On each link direction, shape (directions,).
    busy_s
        Time in which something was on it, s.
    history
        Bytes on each direction in each interval of time, shape (directions, intervals).
    width_s
        Length of an interval, s.
    sent
        Bytes of all delivered messages, each counted once.
    """

    nbytes: NDArray[np.float64]
    busy_s: NDArray[np.float64]
    history: NDArray[np.float64]
    width_s: float
    sent: float


@dataclass(frozen=True, eq=False)
class Price:
    """What a plan costs on an otherwise idle network.

    Attributes
    ----------
    seconds
        The whole plan, ranks starting together.
    per_round
        Seconds of one repetition of each of the plan's rounds.
    nbytes
        Bytes between different nodes (messages inside a node are free).
    edges, load
        Link directions in use and the bytes on each.
    """

    seconds: float
    per_round: tuple[float, ...]
    nbytes: float
    edges: NDArray[np.int64]
    load: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Prepared:
    """A plan placed on the nodes of a group and priced, ready to be played.

    Attributes
    ----------
    plan, price
        What to do and what it costs.
    name
        Of the group.
    carrier
        Its number in `Network.carriers`.
    score
        What the network that prepared it plays; nobody else's business.
    """

    plan: Plan
    price: Price
    name: str
    carrier: int
    score: Any = None


class Play(Protocol):
    """A plan under way: ranks enter one by one and leave as the plan lets them.

    `wait` gives the event of a rank's end, once, before the rank may `enter`.
    """

    def wait(self, rank: int) -> Event: ...

    def enter(self, rank: int) -> None: ...


class Network(Protocol):
    """Routes over a topology and shares its links.

    `send` carries one message; where links are shared it gets *weight* fair shares.
    `call` carries a request to a server and its answer back: *handler* runs at the instant
    at which the request has arrived, and what it returns is the value of the event.
    `prepare` places and prices a plan once, `play` begins it; its ranks `enter`, and what
    rank r waits for has the value ``result(r)``.  `settle` runs every handler whose request
    has arrived by now, so that whoever looks at a server's state sees all of it.  `failed`
    are the link directions that carry nothing now, `close` tells that the run has ended and
    `traffic` what was carried until then.
    """

    env: Clock
    links: Links
    router: Router
    carriers: list[Carrier]

    def send(
        self, source: str, target: str, nbytes: float, kind: str = "message", weight: float = 1.0
    ) -> Event: ...

    def call(
        self,
        client: str,
        server: str,
        nbytes: float,
        answer_nbytes: float,
        handler: Callable[[], Any],
    ) -> Event: ...

    def price(self, plan: Plan, nodes: Sequence[str]) -> Price: ...

    def prepare(self, plan: Plan, nodes: Sequence[str], name: str) -> Prepared: ...

    def play(self, prepared: Prepared, kind: str, result: Callable[[int], Any]) -> Play: ...

    def settle(self) -> None: ...

    def failed(self) -> list[tuple[str, str]]: ...

    def close(self, end: float) -> None: ...

    def traffic(self, end: float) -> Traffic: ...
