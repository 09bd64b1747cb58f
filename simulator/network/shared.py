"""The network whose links are shared max-min fairly, whoever uses them.

Fidelity ``flow`` plays a collective as one weighted activity per round, ``message`` as
its messages.  Both run in the compiled loops of `simulator.network.compiled`, which know
all open transfers; the clock holds a single wake-up, for the next instant at which
somebody's wait is over.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from simpy.events import Event

from simulator.engine import Activity, Clock, Table, done
from simulator.engine.clock import NETWORK
from simulator.network.arena import Arena
from simulator.network.collectives import Plan
from simulator.network.compiled import fluid
from simulator.network.conditions import Jitter
from simulator.network.fabric import MESSAGE_KINDS, Carrier, Play, Prepared, Price, Traffic
from simulator.network.link import Links
from simulator.network.placing import Flows, messages, stages
from simulator.network.pricing import Placement, price
from simulator.network.routing import Router
from simulator.network.scores import ByMessage, Message, Score, Staged, Waiter, Way

if TYPE_CHECKING:
    import networkx as nx

Fidelity = Literal["flow", "message"]
NOBODY = np.zeros(0, np.int64)
PUSH, PULL = MESSAGE_KINDS.index("push"), MESSAGE_KINDS.index("pull")


class SharedNetwork:
    """Network of fidelity ``flow`` or ``message``; see `simulator.network.fabric.Network`.

    Parameters
    ----------
    env
        The clock.
    graph
        Topology with every node that will send or receive.
    messages
        Table that every message is entered into.
    fidelity
        How collectives are played.
    routing
        Policy among equally short ways; see `Router`.
    overhead
        Seconds that a message spends at its hosts before it enters the network.
    jitter
        Random delays of messages; None for none.
    record
        Whether the messages of plans are entered into *messages*.
    """

    def __init__(
        self,
        env: Clock,
        graph: nx.Graph[str],
        messages: Table,
        fidelity: Fidelity = "flow",
        routing: str = "d-mod-k",
        overhead: float = 0.0,
        jitter: Jitter | None = None,
        record: bool = True,
    ):
        self.env, self._messages, self._fidelity = env, messages, fidelity
        self.links = Links(graph)
        self.router = Router(graph, self.links, routing)
        self.carriers: list[Carrier] = []
        self.overhead = overhead
        self.arena = Arena(self.links)
        self.by_message = fidelity == "message"
        self.recorded = fidelity == "message" and record
        self.jitter = jitter
        if jitter is not None:
            self.arena.fluid.tally.jitter = jitter.mean
            self.arena.fluid.tally.seed = jitter.seed()
        self._ways: dict[tuple[str, str], Way] = {}
        self._named: dict[tuple[str, str], int] = {}
        self._waiters: dict[int, tuple[int, Any]] = {}
        self._order = count()
        self._starting: list[int] = []
        self._entering: list[int] = []
        self._ahead: list[int] = []  # results of the instant at which the next wake-up is
        self._ahead_at = 0.0
        self._wake_at = math.inf
        self._due = math.inf  # when the compiled loops have something to do next
        self.sent = 0.0  # bytes, but for the messages of plans

    # -- single messages ---------------------------------------------------------------

    def send(
        self, source: str, target: str, nbytes: float, kind: str = "message", weight: float = 1.0
    ) -> Event:
        """Event that fires when *nbytes* have arrived; the message gets *weight* fair shares."""
        if source == target:
            return done(self.env, None)
        event = Activity(self.env, f"a message from {source} to {target}")
        event.busy = ((self.env.now, math.inf),)
        way = self.way(source, target)

        def delivered(begin: float, end: float) -> None:
            event.fire(None, ((begin, end),))

        Message(self, way, MESSAGE_KINDS.index(kind), nbytes, delivered, weight)
        return event

    def call(
        self,
        client: str,
        server: str,
        nbytes: float,
        answer_nbytes: float,
        handler: Callable[[], Any],
    ) -> Event:
        """Event whose value *handler* gave when the request had arrived at *server*."""
        event = Activity(self.env, f"the answer of a server on {server}")
        if client == server:
            event.finish(0.0, late=handler)
            return event
        event.busy = ((self.env.now, math.inf),)

        def requested(begin: float, end: float) -> None:
            value = handler()
            event.busy = ((begin, end), (end, math.inf))

            def answered(again: float, last: float) -> None:
                event.fire(value, ((begin, end), (again, last)))

            Message(self, self.way(server, client), PULL, answer_nbytes, answered)

        Message(self, self.way(client, server), PUSH, nbytes, requested)
        return event

    def settle(self) -> None:
        """Nothing to do: handlers run when their requests arrive."""

    def failed(self) -> list[tuple[str, str]]:
        """Link directions without bandwidth at present."""
        capacity = self.arena.fluid.links.capacity[self.links.medium]
        return [self.links.ends[e] for e in np.flatnonzero(capacity == 0).tolist()]

    def close(self, end: float) -> None:
        """Bring the books up to date with what is under way at *end*."""
        net = self.arena.fluid
        fluid.close(net, end)
        for place, (_, waiter) in self._waiters.items():
            if place < 0:
                rank = net.ranks[-2 - place]
                until = math.inf if rank.active else float(rank.until)
                waiter.still(-2 - place, ((float(rank.since), until),) if rank.used else ())

    def traffic(self, end: float) -> Traffic:
        """What was carried until *end*, in part by transfers still under way."""
        del end  # see `close`
        net = self.arena.fluid
        tally = net.tally[0]
        return Traffic(
            net.ledger.carried.copy(),
            net.ledger.busy.copy(),
            net.bins.copy(),
            float(tally.width),
            self.sent + float(tally.sent),
        )

    def change(self, link: int, capacity: float) -> None:
        """Give *link* another capacity, B/s, from now on."""
        self._due = fluid.change(self.arena.fluid, self.env.now, link, capacity)
        self._wake(self._due)

    def cancel(self, flow: int) -> None:
        """Take *flow* off its links now."""
        self._due = fluid.cancel(self.arena.fluid, self.env.now, flow)
        self._waiters.pop(flow, None)
        self._wake(self._due)

    def start(self, flow: int, waiter: Waiter, last: int | None = None) -> None:
        """Let *flow* begin at this instant; *waiter* is told when it, or *last*, is over."""
        self._waiters[flow if last is None else last] = next(self._order), waiter
        self._starting.append(flow)
        self._wake(self.env._now)

    def enter(self, place: int, waiter: Waiter) -> None:
        """Let the rank at *place* enter its play at this instant; *waiter* is told of its end."""
        self._waiters[-2 - place] = next(self._order), waiter
        self._entering.append(place)
        self._wake(self.env._now)

    def way(self, source: str, target: str) -> Way:
        """What messages from *source* to *target* need."""
        way = self._ways.get((source, target))
        if way is None:
            routes = self.router.routes([source], [target])
            edges = routes.edges
            flow = Flows(
                routes.first,
                routes.length,
                np.zeros(1),
                routes.latency + self.overhead,
                {"link": self.links.medium[edges], "direction": edges, "share": 1.0},
            )
            way = self._ways[source, target] = Way([], [], flow, self.carrier_of(source, target))
        return way

    def new_message(self, way: Way) -> int:
        """A place for one more message of *way* at the same time."""
        place = self.arena.add_flows(*way.flow)
        flow = self.arena.fluid.flows[place]
        flow.jitters = 1
        flow.stream = self.streams_of(str(len(way.places)), [way.carrier])[0]
        way.places.append(place)
        return place

    def streams_of(self, name: str, carriers: Sequence[int]) -> list[int]:
        """Where random delays come from: *name*, source and target, whatever else there is."""
        return [
            zlib.crc32(f"{name} {self.carriers[c].source} {self.carriers[c].target}".encode())
            for c in carriers
        ]

    def carrier_of(self, source: str, target: str) -> int:
        """Number of the carrier of messages from *source* to *target*."""
        number = self._named.get((source, target))
        if number is None:
            number = self.carrier(Carrier(source, target))
            self._named[source, target] = number
        return number

    def carrier(self, carrier: Carrier) -> int:
        """Enter a carrier and return its number."""
        self.carriers.append(carrier)
        return len(self.carriers) - 1

    def record(self, carrier: int, kind: int, nbytes: float, begin: float, end: float) -> None:
        """Enter a delivered message, or a collective, into the books."""
        self._messages.append(self._messages.row(carrier, kind, nbytes, begin, end))

    # -- collectives -------------------------------------------------------------------

    def price(self, plan: Plan, nodes: Sequence[str]) -> Price:
        """Cost of *plan* on an idle network if rank r runs on ``nodes[r]``."""
        return price(plan, Placement(self.router, nodes), self.links, self.overhead)

    def prepare(self, plan: Plan, nodes: Sequence[str], name: str) -> Prepared:
        """*plan* placed on the nodes of the group called *name*; it can be played many times."""
        place = Placement(self.router, nodes)
        cost = price(plan, place, self.links, self.overhead)
        carrier = self.carrier(Carrier(name, ""))
        if self._fidelity == "flow" and plan.root is None:
            few = stages(plan, place, self.links, self.overhead)
            score: Score = Staged(self, few, f"{name} {plan.name} {plan.pieces}")
        else:
            listed = messages(plan, place, self.links, self.overhead)
            score = ByMessage(self, listed, plan, nodes, f"{name} {plan.name} {plan.pieces}")
        return Prepared(plan, cost, name, carrier, score)

    def play(self, prepared: Prepared, kind: str, result: Callable[[int], Any]) -> Play:
        """Begin a collective; what rank r waits for has the value ``result(r)``."""
        score: Score = prepared.score
        return score.play(prepared, kind, result)

    # -- time --------------------------------------------------------------------------

    def _wake(self, at: float) -> None:
        if at < self._wake_at:
            self._wake_at = at
            self.env.at(at, NETWORK, self._awake)

    def _awake(self) -> None:
        """Tell those whose wait is over, let begin what begins now, and look ahead."""
        now = self.env._now
        if now < self._wake_at:  # of an earlier intention
            return
        self._wake_at = now  # what begins meanwhile needs no other wake-up
        try:
            if self._ahead:
                self._tell(now)
            else:
                self._go_on(now)
            while not self._ahead and self._begun() and self.env.horizon > now:
                self._go_on(now)  # begun by those who were told; nobody else will act now
        finally:  # a waiter may have stopped the clock
            self._wake_at = math.inf
            if self._ahead:
                self._wake(self._ahead_at)
            else:
                self._wake(now if self._begun() else self._due)

    def _begun(self) -> bool:
        """Has anything begun that the compiled loops do not know yet?"""
        return bool(self._starting or self._entering)

    def _go_on(self, now: float) -> None:
        """Run the compiled loops until somebody's wait is over, or something else happens."""
        begin = np.array(self._starting, np.int64) if self._starting else NOBODY
        enter = np.array(self._entering, np.int64) if self._entering else NOBODY
        self._starting, self._entering = [], []
        while True:
            net, horizon = self.arena.fluid, self.env.horizon
            reached, self._due, results, spans, rows = fluid.happen(net, now, begin, enter, horizon)
            if spans or rows:
                self._enter_into_books(net, spans, rows)
            if results:
                break
            if self._due >= horizon:
                return
            begin = enter = NOBODY  # the books were full
        self._ahead, self._ahead_at = net.results[:results].tolist(), reached
        if reached <= now:
            self._tell(now)

    def _tell(self, now: float) -> None:
        """Tell those whose wait is over, in the order in which they began."""
        if len(self._ahead) > 1:
            self._ahead.sort(key=lambda place: self._waiters[place][0])
        while self._ahead:
            place = self._ahead.pop(0)
            self._waiters.pop(place)[1].over(place, now)

    def _enter_into_books(self, net: Any, spans: int, rows: int) -> None:
        for place, begin, end in net.spans[:spans].tolist():
            found = self._waiters.get(-2 - place)
            if found is not None:  # the root of a star broadcast may be gone
                found[1].under_way(place, begin, end)
        if rows:
            done = net.rows[:rows]
            carriers = self.arena.carriers[done.flow]
            columns = (*carriers.T, self.arena.amount[done.flow], done.begin, done.end)
            self._messages.append(np.column_stack(columns).tobytes())
