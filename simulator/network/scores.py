"""What the shared network plays: messages, plans in stages, plans message by message.

The compiled loops know flows and ranks by their places in an arena.  Places are kept and
used again, so that a message costs no new arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from simulator.engine import Activity
from simulator.engine.deferred import Interval
from simulator.network.collectives import Plan
from simulator.network.fabric import MESSAGE_KINDS, Play, Prepared
from simulator.network.placing import Flows, Messages, Stages
from simulator.network.play import TogetherPlay

if TYPE_CHECKING:
    from simulator.network.shared import SharedNetwork

Result = Callable[[int], Any]


class Waiter(Protocol):
    """Somebody who waits for a flow, or for a rank of a plan."""

    def over(self, place: int, now: float) -> None: ...


class Score(Protocol):
    """A plan that a network has prepared and can begin any number of times."""

    def play(self, prepared: Prepared, kind: str, result: Result) -> Play: ...


class Way(NamedTuple):
    """How messages get from one node to another: places, those not in use, flow and carrier."""

    places: list[int]
    free: list[int]
    flow: Flows
    carrier: int


class Message:
    """One message on its way; *delivered* is called with its begin and end."""

    __slots__ = ("_begin", "_delivered", "_kind", "_nbytes", "_network", "_way")

    def __init__(
        self,
        network: SharedNetwork,
        way: Way,
        kind: int,
        nbytes: float,
        delivered: Callable[[float, float], None],
        weight: float = 1.0,
    ):
        self._network, self._way, self._kind = network, way, kind
        self._nbytes, self._delivered, self._begin = nbytes, delivered, network.env._now
        place = way.free.pop() if way.free else self._made()
        network.arena.amount[place], network.arena.weight[place] = nbytes, weight
        network.start(place, self)

    def _made(self) -> int:
        return self._network.new_message(self._way)

    def over(self, place: int, now: float) -> None:
        self._way.free.append(place)
        network = self._network
        network.sent += self._nbytes
        network.record(self._way.carrier, self._kind, self._nbytes, self._begin, now)
        self._delivered(self._begin, now)


class Staged:
    """A plan as few flows per round; rounds follow one another."""

    def __init__(self, network: SharedNetwork, stages: Stages, name: str):
        self._network, self._stages, self._free = network, stages, list[int]()
        self._random = None if network.jitter is None else network.jitter.generator(name)

    def play(self, prepared: Prepared, kind: str, result: Result) -> Play:
        label = f"{kind} of {prepared.name}"
        return TogetherPlay(
            self._network.env,
            prepared.plan.ranks,
            label,
            lambda event: self.begin(prepared, kind, event, result),
        )

    def begin(self, prepared: Prepared, kind: str, event: Activity, result: Result) -> None:
        """Let the collective begin now, which ends with *event*."""
        if not len(self._stages.width):
            event.finish(0.0, late=lambda: result(0))
            return
        place = self._free.pop() if self._free else self._made()
        _Chain(self._network, self, place, prepared, kind, event, result)

    def last(self, place: int) -> int:
        """Lead of the last stage, if the first one is at *place*."""
        return place + len(self._stages.flows.first) - int(self._stages.width[-1])

    def _made(self) -> int:
        arena, width = self._network.arena, self._stages.width
        place = arena.add_flows(*self._stages.flows)
        leads = place + np.cumsum(width) - width
        flows = arena.fluid.flows
        flows.lead[place : place + width.sum()] = np.repeat(leads, width)
        flows.width[leads] = width
        flows.following[leads[:-1]] = leads[1:]
        return place

    def delay_anew(self, place: int) -> None:
        """Draw random delays for the flows from *place* on.

        A round waits for the latest of its messages, so for each repetition the maximum of
        as many exponential delays is drawn.
        """
        jitter, random = self._network.jitter, self._random
        if jitter is None or random is None:
            return
        stages = self._stages
        extra = [
            -jitter.mean * np.log1p(-(random.random(int(repeat)) ** (1.0 / count))).sum()
            if count
            else 0.0
            for repeat, count in zip(stages.repeat, stages.messages, strict=True)
        ]
        delay = self._network.arena.fluid.flows.delay
        delay[place : place + len(extra)] = stages.flows.delay + np.array(extra)

    def give_back(self, place: int) -> None:
        """The flows from *place* on are not in use any more."""
        self._free.append(place)


class _Chain:
    """The stages of one collective, under way."""

    def __init__(
        self,
        network: SharedNetwork,
        score: Staged,
        place: int,
        prepared: Prepared,
        kind: str,
        event: Activity,
        result: Result,
    ):
        self._network, self._score, self._place, self._event = network, score, place, event
        self._prepared, self._kind, self._result = prepared, kind, result
        self._begin = network.env._now
        event.busy = ((self._begin, math.inf),)
        score.delay_anew(place)
        network.start(place, self, score.last(place))

    def over(self, place: int, now: float) -> None:
        del place  # of the last stage
        self._score.give_back(self._place)
        prepared, begin = self._prepared, self._begin
        kind, nbytes = MESSAGE_KINDS.index(self._kind), prepared.price.nbytes
        self._network.sent += nbytes
        self._network.record(prepared.carrier, kind, nbytes, begin, now)
        self._event.fire(self._result(0), ((begin, now),))


class ByMessage:
    """A plan as its messages: every rank has its own end."""

    def __init__(
        self, network: SharedNetwork, listed: Messages, plan: Plan, nodes: Sequence[str], name: str
    ):
        self._network, self._listed, self._plan = network, listed, plan
        self._free: list[int] = []  # places of first ranks
        self._nodes = list(nodes)
        self._carriers: list[int] = []
        self._entries: int | None = None
        self._name, self._made_so_far = name, 0

    def play(self, prepared: Prepared, kind: str, result: Result) -> Play:
        place = self._free.pop() if self._free else self._made(kind)
        return _Ranks(self._network, self, place, prepared, kind, result)

    @property
    def ranks(self) -> int:
        return self._plan.ranks

    def give_back(self, place: int) -> None:
        """The ranks from *place* on have left."""
        self._free.append(place)

    def _made(self, kind: str) -> int:
        arena, listed = self._network.arena, self._listed
        if self._entries is None:
            self._entries = arena.add_entries(listed.entries, listed.refs)
            self._carriers = self._named()
        flow = arena.add_flows(*listed.flows)
        place = arena.add_ranks(flow, self._entries + listed.first, self._entries + listed.last)
        flows = arena.fluid.flows[flow : flow + len(listed.source)]
        flows.source, flows.target = place + listed.source, place + listed.target
        flows.jitters = listed.flows.length > 0
        streams = self._network.streams_of(f"{self._name} {self._made_so_far}", self._carriers)
        self._made_so_far += 1
        flows.stream = streams
        flows.recorded = self._network.recorded
        used = arena.carriers[flow : flow + len(listed.source)]
        used[:, 0], used[:, 1] = self._carriers, MESSAGE_KINDS.index(kind)
        if not self._plan.root_waits and self._plan.root is not None:
            arena.fluid.ranks[place + self._plan.root].hands_over = 1
        return place

    def _named(self) -> list[int]:
        """A carrier for each distinct message."""
        nodes, carrier_of = self._nodes, self._network.carrier_of
        ends = zip(self._listed.source.tolist(), self._listed.target.tolist(), strict=True)
        return [carrier_of(nodes[source], nodes[target]) for source, target in ends]


class _Ranks:
    """The ranks of one collective, under way."""

    def __init__(
        self,
        network: SharedNetwork,
        score: ByMessage,
        place: int,
        prepared: Prepared,
        kind: str,
        result: Result,
    ):
        self._network, self._score, self._place = network, score, place
        self._prepared, self._kind, self._result = prepared, kind, result
        self._left, self._times = 0, (math.inf, -math.inf)
        self._events: dict[int, Activity] = {}
        self._busy: dict[int, tuple[Interval, ...]] = {}

    def wait(self, rank: int) -> Activity:
        event = Activity(self._network.env, self._describe(rank))
        self._events[rank] = event
        return event

    def enter(self, rank: int) -> None:
        self._busy[rank] = ()
        self._network.enter(self._place + rank, self)

    def under_way(self, place: int, begin: float, end: float) -> None:
        """The rank at *place* had messages under way from *begin* to *end*."""
        self._busy[place - self._place] += ((begin, end),)
        self._times = min(begin, self._times[0]), max(end, self._times[1])

    def still(self, place: int, last: tuple[Interval, ...]) -> None:
        """The run ends; *last* is the rank's latest interval with messages under way, if any."""
        rank = place - self._place
        self._events[rank].busy = (*self._busy[rank], *last)

    def _describe(self, rank: int) -> Callable[[], str]:
        return lambda: f"{self._kind} of {self._prepared.name} (rank {rank})"

    def over(self, place: int, now: float) -> None:
        del now
        rank = -2 - place - self._place
        self._left += 1
        if self._left == self._score.ranks:
            self._score.give_back(self._place)
            begin, end = self._times
            if end >= begin and not self._network.by_message:
                kind, prepared = MESSAGE_KINDS.index(self._kind), self._prepared
                self._network.record(prepared.carrier, kind, prepared.price.nbytes, begin, end)
        self._events.pop(rank).fire(self._result(rank), self._busy.pop(rank))
