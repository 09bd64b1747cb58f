"""Groups whose ranks may be lost: what of a collective is repeated, and who takes part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from simpy.events import Event

from simulator.engine import Activity, Deferred
from simulator.engine.deferred import Interval
from simulator.engine.values import frozen
from simulator.errors import GroupError
from simulator.network.fabric import Network, Play
from simulator.network.group import Call, Choices, Combine, Group, What

ROOTED = ("reduce", "broadcast")


class ChangingGroup(Group):
    """A group that ranks are lost from and come back to, or leave and join.

    A *lost* rank is waited for: a collective that it has entered and not left is done anew
    when it is *back*, by all who have entered.  One that *leaves* is not: calls that it has
    entered keep its part, others do without it.  One that *joins* takes part from the
    next call of another rank on.
    """

    def __init__(
        self,
        network: Network,
        nodes: Sequence[str],
        nbytes: float,
        name: str,
        how: Choices,
    ):
        super().__init__(network, nodes, nbytes, name, how)
        self._first = [0] * self.size  # call that a rank's part begins with
        self._entered = 0  # the first call that nobody has entered
        self._away: dict[int, None] = {}
        self._under_way: dict[int, ChangingCall] = {}
        self._planners: dict[tuple[int, ...], Group] = {}

    @property
    def calls(self) -> list[int]:
        """How many calls every rank has joined."""
        return self._calls

    def lost(self, rank: int) -> None:
        """*rank* has failed and will be back."""
        for call in list(self._under_way.values()):
            call.break_off(rank)

    def back(self, rank: int) -> None:
        """*rank* works again."""
        for call in list(self._under_way.values()):
            call.mend(rank)

    def leave(self, rank: int) -> None:
        """*rank* takes part in nothing that it has not entered yet."""
        self._away[rank] = None
        for call in list(self._under_way.values()):
            call.without(rank)

    def join(self, rank: int, like: int | None) -> None:
        """*rank* takes part again, from the next call of rank *like* on.

        Those who have entered that call already begin it anew with the new one.  Without
        *like* nobody is there, and it is the first call that nobody has entered.
        """
        self._away.pop(rank, None)
        number = self._entered if like is None else self._calls[like]
        self._calls[rank] = self._first[rank] = number
        for later, call in list(self._under_way.items()):
            if later >= number:
                call.admit(rank)

    def entered(self, number: int) -> None:
        """Somebody has entered call *number*."""
        self._entered = max(self._entered, number + 1)

    def _join(
        self,
        kind: str,
        rank: int,
        value: Any,
        combine: Combine,
        nbytes: float | None,
        shape: str = "",
    ) -> Event:
        what = (kind, self.nbytes if nbytes is None else nbytes, shape)
        number = self._next_call(rank)
        call = self._under_way.get(number)
        if call is None:
            members = [
                r for r in range(self.size) if r not in self._away and self._first[r] <= number
            ]
            call = ChangingCall(self, what, members, combine, partial(self.entered, number))
            call.over = partial(self._under_way.pop, number)
            self._under_way[number] = call
        elif call.what != what:
            raise self._disagreement(call, what, number, rank)
        return call.take_part(rank, value)

    def play_of(self, members: Sequence[int], call: ChangingCall) -> Play:
        """Begin the collective of *call* among *members*; its rank r is the r-th of them."""
        key = tuple(members)
        planner = self._planners.get(key)
        if planner is None:
            nodes = [self.nodes[rank] for rank in members]
            planner = Group(self.network, nodes, self.nbytes, self.name, self._how)
            self._planners[key] = planner
            planner.choices = self.choices
        return planner.begin(call)


class Outcome(Activity):
    """What a rank waits for: the end of its latest attempt at a collective."""

    attempt: Activity | None = None
    _busy: tuple[Interval, ...] = ()

    @property
    def busy(self) -> tuple[Interval, ...]:
        """Intervals in which the latest attempt really ran."""
        return self._busy if self.attempt is None else self.attempt.busy

    @busy.setter
    def busy(self, busy: tuple[Interval, ...]) -> None:
        self._busy, self.attempt = busy, None


class ChangingCall(Call):
    """One collective of a changing group, which may have to be played several times."""

    def __init__(
        self,
        group: ChangingGroup,
        what: What,
        members: Sequence[int],
        combine: Combine,
        entered: Callable[[], None],
    ):
        super().__init__(combine, what)
        self.over: Callable[[], Any]  # what to do when all have left
        self._group, self._members, self._tell = group, list(members), entered
        self._outcomes: dict[int, Outcome] = {}  # of those who have not left
        self._entered: dict[int, None] = {}
        self._broken: dict[int, None] = {}  # lost ranks that it waits for
        self._attempt = 0
        self.play = group.play_of(self._members, self)

    def take_part(self, rank: int, value: Any) -> Event:
        """*rank* gives *value* and gets what it waits for."""
        outcome = self._outcomes[rank] = Outcome(self._group.network.env, self._label(rank))
        if isinstance(value, Deferred):
            self.parts[rank] = value
            value.hand_over(lambda _: self._enter(rank))
        else:
            self.parts[rank] = frozen(value)
            self._enter(rank)
        return outcome

    def _label(self, rank: int) -> Callable[[], str]:
        def label() -> str:
            missing = [r for r in self._members if r not in self._entered]
            lacks = f", which still misses rank {', '.join(map(str, missing[:8]))}"
            return f"{self.what[0]} of {self._group.name} (rank {rank}){lacks if missing else ''}"

        return label

    def _enter(self, rank: int) -> None:
        self._entered[rank] = None
        self._tell()
        if not self._broken:
            self._enter_play(rank)

    def _enter_play(self, rank: int) -> None:
        place = self._members.index(rank)
        event = self.play.wait(place)
        if rank in self._outcomes and isinstance(event, Activity):
            self._outcomes[rank].attempt = event
        assert event.callbacks is not None
        event.callbacks.append(partial(self._left, self._attempt, rank))
        self.play.enter(place)

    def _left(self, attempt: int, rank: int, event: Event) -> None:
        if attempt != self._attempt or rank not in self._outcomes:
            return
        outcome = self._outcomes.pop(rank)
        if not self._outcomes and len(self._entered) == len(self._members):
            self.over()
        outcome.fire(event._value, getattr(event, "busy", ()))

    def break_off(self, rank: int) -> None:
        """*rank* is lost: what it has entered and not left is done anew when it is back."""
        if rank in self._entered and rank in self._outcomes:
            self._broken[rank] = None
            self._attempt += 1  # whatever the network still does for this one is in vain

    def mend(self, rank: int) -> None:
        """*rank* is back."""
        if self._broken.pop(rank, rank) is None and not self._broken:
            self._anew()

    def without(self, rank: int) -> None:
        """*rank* has left; its part is kept if it had entered."""
        if rank not in self._members:
            return
        self._outcomes.pop(rank, None)
        waited_for = self._broken.pop(rank, rank) is None and not self._broken
        if rank in self._entered:
            if not self._outcomes and len(self._entered) == len(self._members):
                self.over()
            elif waited_for:
                self._anew()
            return
        if self.what[0] in ROOTED and rank == self._members[0]:
            raise GroupError(
                f"{self.what[0]} of group {self._group.name!r} cannot go on without its root"
            )
        self.parts.pop(rank, None)
        self._members.remove(rank)
        if not self._members:
            self.over()
        elif not self._broken:
            self._anew()

    def admit(self, rank: int) -> None:
        """*rank* takes part as well."""
        if rank not in self._members:
            self._members = sorted([*self._members, rank])
            self._anew()

    def _anew(self) -> None:
        self._attempt += 1
        self.play = self._group.play_of(self._members, self)
        for rank in list(self._entered):
            self._enter_play(rank)
