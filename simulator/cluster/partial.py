"""Partial collectives: all-reduces that do not wait for those who are late.

Li et al., Taming Unbalanced Training Workloads in Deep Learning with Partial Collective
Operations, PPoPP 2020.  A round begins when somebody triggers it.  A few small messages
activate all the others, whose communication threads then take part whatever their worker
is doing, with what it has left for them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from simpy.events import Event

from simulator.engine import Composite, when_over
from simulator.network import Group
from simulator.network.group import Merge

Give = Callable[[int, int], Any]  # what a rank contributes to a round, when it is activated


class PartialAllReduce:
    """Rounds of an all-reduce over a group, each begun by whoever comes first.

    Parameters
    ----------
    group
        All ranks; nobody else may use it.
    give
        Called with every rank, and the round's number, when it has been activated: its
        contribution, or None.
    merge
        What is made of the contributions; their sum by default.
    take
        ``take(rank, result)`` is called when a round is over for a rank.
    algorithm
        Of the all-reduce, if not the scenario's.

    Attributes
    ----------
    begun
        Rounds that have been triggered.
    completed
        Rounds that are over, by rank.
    latest
        Result of the newest of them, by rank.
    """

    def __init__(
        self,
        group: Group,
        give: Give,
        merge: Merge | None = None,
        take: Callable[[int, Any], None] | None = None,
        algorithm: str = "",
    ):
        self.group, self._give, self._merge, self._take = group, give, merge, take
        self._algorithm = algorithm
        self.completed = [0] * group.size
        self.latest: list[Any] = [None] * group.size
        self.begun = 0
        # By rank and round: what is under way for it.
        self._parts: list[dict[int, tuple[Event, ...]]] = [{} for _ in range(group.size)]
        self._waits: list[list[tuple[int, Composite]]] = [[] for _ in range(group.size)]

    def trigger(self, number: int) -> None:
        """Begin round *number*, unless somebody has already."""
        if number < self.begun:
            return
        self.begun = number + 1
        for rank in range(self.group.size):
            reached = self.group.activate(rank)
            self._join(rank, number, (reached,))
            when_over(reached, partial(self._take_part, rank, number))

    @property
    def under_way(self) -> bool:
        """Has a round begun that is not over for all?"""
        return self.begun > min(self.completed)

    def over(self, rank: int, number: int) -> Event:
        """Event that fires for *rank* with the result of round *number*, or of a later one."""
        wait = Composite(self.group.network.env, f"round {number} of {self.group.name}")
        if self.completed[rank] > number:
            wait.fire(self.latest[rank])
            return wait
        wait.parts = self._parts[rank].get(number, ())
        self._waits[rank].append((number, wait))
        return wait

    def _join(self, rank: int, number: int, parts: tuple[Event, ...]) -> None:
        """*parts* are what round *number* consists of for *rank*."""
        self._parts[rank][number] = parts
        for waited, wait in self._waits[rank]:
            if waited == number:
                wait.parts = parts

    def _take_part(self, rank: int, number: int) -> None:
        given = self._give(rank, number)
        summed = self.group.all_reduce(rank, given, merge=self._merge, algorithm=self._algorithm)
        self._join(rank, number, (*self._parts[rank][number], summed))
        when_over(summed, partial(self._finish, rank, summed))

    def _finish(self, rank: int, summed: Event) -> None:
        del self._parts[rank][self.completed[rank]]
        self.completed[rank] += 1
        self.latest[rank] = summed.value
        if self._take is not None:
            self._take(rank, summed.value)
        waits, self._waits[rank] = self._waits[rank], []
        for number, wait in waits:
            if number < self.completed[rank]:
                wait.fire(summed.value)
            else:
                self._waits[rank].append((number, wait))
