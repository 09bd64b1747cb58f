"""The alpha-beta network: every round costs its longest latency plus its fullest link.

The oldest and cheapest cost model (Hockney; `docs/glossary.md`).  Within one plan the
ranks of a host share its NIC; between plans and messages nothing is shared, except that
point-to-point messages queue first-come-first-served at the NICs of both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from simulator.engine import Activity, Clock, Table, done
from simulator.engine.deferred import Interval
from simulator.network.collectives import Plan
from simulator.network.fabric import MESSAGE_KINDS, Carrier, Play, Prepared, Price, Traffic
from simulator.network.history import traffic_of_rows
from simulator.network.link import Links
from simulator.network.play import RootedPlay, TogetherPlay
from simulator.network.pricing import Placement, price
from simulator.network.routing import Router

if TYPE_CHECKING:
    import networkx as nx

PUSH, PULL = MESSAGE_KINDS.index("push"), MESSAGE_KINDS.index("pull")


class Way(NamedTuple):
    """What a message needs to know of its route (see there), and its carrier's number."""

    egress: int
    ingress: int
    latency: float
    seconds_per_byte: float
    carrier: int


class AlphaBeta:
    """Network of fidelity ``alpha-beta``; see `simulator.network.fabric.Network`.

    Parameters
    ----------
    env
        The clock.
    graph
        Topology with every node that will send or receive.
    messages
        Table that every message is entered into.
    routing
        Policy among equally short ways; see `Router`.
    overhead
        Seconds that a message spends at its hosts before it enters the network.
    """

    def __init__(
        self,
        env: Clock,
        graph: nx.Graph[str],
        messages: Table,
        routing: str = "d-mod-k",
        overhead: float = 0.0,
    ):
        self.env, self._append, self._row = env, messages.append, messages.row
        self._messages, self._overhead = messages, overhead
        self.links = Links(graph)
        self.router = Router(graph, self.links, routing)
        self.carriers: list[Carrier] = []
        self._loads: list[tuple[NDArray[np.int64], NDArray[np.float64]]] = []  # of each carrier
        self._ways: dict[tuple[str, str], Way] = {}
        self._round_trips: dict[tuple[str, str], tuple[Way, Way]] = {}
        self._sending = [0.0] * len(self.links.ends)  # when each NIC is free again, s
        self._receiving = [0.0] * len(self.links.ends)
        self._arrivals: list[tuple[float, int, Activity, Callable[[], Any]]] = []
        self._order = count()

    # -- single messages ---------------------------------------------------------------

    def send(
        self, source: str, target: str, nbytes: float, kind: str = "message", weight: float = 1.0
    ) -> Event:
        """Event that fires when *nbytes* have arrived; where nothing is shared *weight* is idle."""
        del weight
        if source == target:
            return done(self.env, None)
        now = self.env.now
        begin, end = self._carry(self._way(source, target), now, nbytes, MESSAGE_KINDS.index(kind))
        event = Activity(self.env, f"a message from {source} to {target}")
        event.finish(end - now, busy=((begin, end),))
        return event

    def call(
        self,
        client: str,
        server: str,
        nbytes: float,
        answer_nbytes: float,
        handler: Callable[[], Any],
    ) -> Event:
        """Event whose value *handler* gave when the request had arrived at *server*.

        Request and answer take their places in the queues of both NICs at once, so one
        scheduled event is enough: when the answer is due, the handlers of all requests
        that have arrived by then are run in the order of their arrival.
        """
        now = arrived = end = self.env._now
        answer = Activity(self.env, "the answer of a server")
        busy: tuple[Interval, ...] = ()
        if client != server:
            there, back = self._round_trips.get((client, server)) or self._round_trip(
                client, server
            )
            begin, arrived = self._carry(there, now, nbytes, PUSH)
            again, end = self._carry(back, arrived, answer_nbytes, PULL)
            busy = ((begin, arrived), (again, end))
        heappush(self._arrivals, (arrived, next(self._order), answer, handler))
        answer.callbacks.append(self._settle)
        answer.finish(end - now, busy=busy)
        return answer

    def settle(self) -> None:
        """Run the handlers of all requests that have arrived by now."""
        self._settle(None)

    def _settle(self, _: Event | None) -> None:
        now, arrivals = self.env._now, self._arrivals
        while arrivals and arrivals[0][0] <= now:
            *_place, answer, handler = heappop(arrivals)
            answer._value = handler()

    def _round_trip(self, client: str, server: str) -> tuple[Way, Way]:
        ways = self._way(client, server), self._way(server, client)
        self._round_trips[client, server] = ways
        return ways

    def _way(self, source: str, target: str) -> Way:
        way = self._ways.get((source, target))
        if way is None:
            route = self.router.route(source, target)
            edges = np.array(route.edges)
            number = self._carrier(Carrier(source, target), edges, np.ones(len(edges)))
            latency = route.latency + self._overhead
            way = Way(route.egress, route.ingress, latency, route.seconds_per_byte, number)
            self._ways[source, target] = way
        return way

    def _carry(self, way: Way, ready: float, nbytes: float, kind: int) -> tuple[float, float]:
        """Begin and end of a message that may start at *ready* and waits at both NICs."""
        egress, ingress, latency, seconds_per_byte, carrier = way
        sending, receiving = self._sending, self._receiving
        occupied = nbytes * seconds_per_byte
        sent = sending[egress] if sending[egress] > ready else ready
        sending[egress] = sent + occupied
        begin = receiving[ingress] - latency
        begin = begin if begin > sent else sent
        receiving[ingress] = end = begin + latency + occupied
        self._append(self._row(carrier, kind, nbytes, begin, end))
        return begin, end

    def _carrier(
        self, carrier: Carrier, edges: NDArray[np.int64], share: NDArray[np.float64]
    ) -> int:
        """Enter a carrier that loads *edges* with *share* bytes per byte of its messages."""
        self.carriers.append(carrier)
        self._loads.append((edges, share))
        return len(self.carriers) - 1

    def failed(self) -> list[tuple[str, str]]:
        """None: links are always there."""
        return []

    def close(self, end: float) -> None:
        """Nothing to do: what messages do is known when they begin."""

    def traffic(self, end: float) -> Traffic:
        """What was carried by messages and collectives that were delivered by *end*."""
        rows = self._messages.columns()
        return traffic_of_rows(rows, self._loads, self.links, end)

    # -- collectives -------------------------------------------------------------------

    def price(self, plan: Plan, nodes: Sequence[str]) -> Price:
        """Cost of *plan* if rank r runs on ``nodes[r]``."""
        return price(plan, Placement(self.router, nodes), self.links, self._overhead)

    def prepare(self, plan: Plan, nodes: Sequence[str], name: str) -> Prepared:
        """*plan* with its price, for the group called *name*; it can be played many times."""
        price = self.price(plan, nodes)
        share = price.load / price.nbytes if price.nbytes else price.load
        return Prepared(plan, price, name, self._carrier(Carrier(name, ""), price.edges, share))

    def play(self, prepared: Prepared, kind: str, result: Callable[[int], Any]) -> Play:
        """Begin a collective; what rank r waits for has the value ``result(r)``."""
        code, nbytes = MESSAGE_KINDS.index(kind), prepared.price.nbytes
        label = f"{kind} of {prepared.name}"

        def record(begin: float, end: float) -> None:
            self._append(self._row(prepared.carrier, code, nbytes, begin, end))

        def begin(event: Activity) -> None:
            now, seconds = self.env.now, prepared.price.seconds
            record(now, now + seconds)
            event.finish(seconds, busy=((now, now + seconds),), late=lambda: result(0))

        if prepared.plan.root is None:
            return TogetherPlay(self.env, prepared.plan.ranks, label, begin)
        return RootedPlay(self.env, prepared, result, label, record)
