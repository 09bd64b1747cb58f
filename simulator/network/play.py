"""Collectives under way in the alpha-beta network: who may leave when.

Where all ranks are alike they leave together, one plan's price after the last has
entered.  In a rooted operation every rank has a time of its own: a message runs when
both its ends have reached its round, and a rank leaves a round when all its messages
of that round are delivered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from simulator.engine import Activity, Clock
from simulator.network.collectives import Plan
from simulator.network.fabric import Prepared

Record = Callable[[float, float], None]
Result = Callable[[int], Any]


class TogetherPlay:
    """All ranks leave together and share one event.

    Parameters
    ----------
    ranks
        How many take part.
    label
        What those who wait are waiting for.
    begin
        Called with the event when the last rank has entered; it ends it some time.
    """

    def __init__(self, env: Clock, ranks: int, label: str, begin: Callable[[Activity], None]):
        self._ranks, self._begin = ranks, begin
        self._entered: list[int] = []
        self._label = label
        self._event = Activity(env, self._describe)

    def wait(self, rank: int) -> Activity:
        del rank  # all share it
        return self._event

    def enter(self, rank: int) -> None:
        self._entered.append(rank)
        if len(self._entered) == self._ranks:
            self._event.label = self._label  # no way back to this object and its result
            self._begin(self._event)

    def _describe(self) -> str:
        missing = sorted(set(range(self._ranks)).difference(self._entered))
        return f"{self._label}, which still misses rank {', '.join(map(str, missing[:8]))}"


class RootedPlay:
    """A reduce to, or a broadcast from, one rank: every rank has its own end."""

    def __init__(self, env: Clock, prepared: Prepared, result: Result, label: str, record: Record):
        self._env, self._result, self._record, self._label = env, result, record, label
        repeats = [part.repeat for part in prepared.plan.rounds]
        self._seconds = [
            repeat * seconds
            for repeat, seconds in zip(repeats, prepared.price.per_round, strict=True)
        ]
        self._agenda = agendas(prepared.plan)
        self._hands_over = None if prepared.plan.root_waits else prepared.plan.root
        self._position = [0] * prepared.plan.ranks
        self._since: list[float] = [0.0] * prepared.plan.ranks
        self._reached: dict[tuple[int, int], float] = {}  # (rank, round) -> s
        self._busy: dict[int, list[tuple[float, float]]] = {}
        self._events: dict[int, Activity] = {}

    def wait(self, rank: int) -> Activity:
        event = self._events[rank] = Activity(self._env, f"{self._label} (rank {rank})")
        return event

    def enter(self, rank: int) -> None:
        self._since[rank], self._busy[rank] = self._env.now, []
        waiting = deque([rank])
        while waiting:
            waiting.extend(self._advance(waiting.popleft()))

    def _advance(self, rank: int) -> list[int]:
        """Let *rank* go on as far as is known; returns the ranks that this may free."""
        freed = []
        if rank == self._hands_over:  # it is there for every round, and goes
            if self._events[rank].triggered:
                return []
            for number, others in self._agenda[rank]:
                self._reached[rank, number] = self._since[rank]
                freed += [other for other in others if (other, number) in self._reached]
            self._leave(rank)
            return freed
        for number, others in self._agenda[rank][self._position[rank] :]:
            if (rank, number) not in self._reached:
                self._reached[rank, number] = self._since[rank]
                freed += [other for other in others if (other, number) in self._reached]
            if any((other, number) not in self._reached for other in others):
                return freed
            begin = max(self._reached[one, number] for one in (rank, *others))
            self._since[rank] = end = begin + self._seconds[number]
            self._busy[rank].append((begin, end))
            self._position[rank] += 1
        if not self._events[rank].triggered:
            self._leave(rank)
        return freed

    def _leave(self, rank: int) -> None:
        self._events[rank].finish(
            self._since[rank] - self._env.now,
            busy=tuple(self._busy[rank]),
            late=lambda: self._result(rank),
        )
        if len(self._events) == len(self._agenda) and all(
            e.triggered for e in self._events.values()
        ):
            times = [time for busy in self._busy.values() for interval in busy for time in interval]
            if times:
                self._record(min(times), max(times))


def agendas(plan: Plan) -> list[list[tuple[int, list[int]]]]:
    """For every rank its rounds in order, each with the ranks it meets there."""
    agenda: list[dict[int, list[int]]] = [{} for _ in range(plan.ranks)]
    for number, part in enumerate(plan.rounds):
        for source, target in zip(part.source.tolist(), part.target.tolist(), strict=True):
            agenda[source].setdefault(number, []).append(target)
            agenda[target].setdefault(number, []).append(source)
    return [list(rounds.items()) for rounds in agenda]
