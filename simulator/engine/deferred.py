"""Events whose value is computed late, many at a time.

A worker asks for a gradient now and may look at it only when the simulated
computation is over.  Everything that the gradient depends on is fixed at the
request, so the arithmetic may run at any wall-clock moment in between.  `Batch`
waits until an answer is due and then evaluates it together with other open requests.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, TypeVar

import simpy
from simpy.events import NORMAL, Event

from simulator.errors import SimulatorError

Evaluate = Callable[[Sequence[Any]], Sequence[Any]]
Value = TypeVar("Value")
Interval = tuple[float, float]
Entry = tuple[float, int, int, "Deferred"]  # as in SimPy's queue: due (s), priority, order, event


class Activity(Event):
    """An operation that takes simulated time; its value is computed when it is over.

    Unlike a plain event it can be handed out before anybody knows when it will
    end: `finish` sets that once, and costs the only scheduled event.

    Attributes
    ----------
    label
        What a process that yields it is waiting for: text, or a function that
        gives the text (it is needed only when a run stalls).
    kind
        The accounting kind of the time that a worker waits here while it is
        under way: ``"communication"`` or ``"io"``.
    busy
        Intervals (s) in which the operation really ran, in order of time; the rest
        of a wait is idle time.
    """

    kind = "communication"

    def __init__(self, env: simpy.Environment, label: str | Callable[[], str]):
        self.env, self.callbacks, self.label = env, [], label
        self.busy: tuple[Interval, ...] = ()

    def finish(
        self,
        delay: float,
        value: Any = None,
        *,
        busy: tuple[Interval, ...] = (),
        late: Callable[[], Any] | None = None,
    ) -> None:
        """End *delay* seconds from now with *value*, or with what *late* gives then."""
        self._ok, self._value = True, value
        env = self.env
        end = env._now + delay
        if busy and busy[-1][1] != end:  # the clock's sum may differ in the last bit
            busy = (*busy[:-1], (busy[-1][0], end))
        self.busy = busy
        if late is not None:
            self.callbacks.insert(0, lambda event: setattr(event, "_value", late()))
        heappush(env._queue, (end, NORMAL, next(env._eid), self))

    def fire(self, value: Any, busy: tuple[Interval, ...] = ()) -> None:
        """End now with *value*; those who wait go on at once, without a scheduled event."""
        self._ok, self._value, self.busy = True, value, busy
        callbacks, self.callbacks = self.callbacks, None  # type: ignore[assignment]
        for callback in callbacks:
            callback(self)


class Composite(Activity):
    """An activity that runs whenever one of its *parts* does."""

    parts: Sequence[Event] = ()

    @property
    def busy(self) -> tuple[Interval, ...]:
        """When any of the parts really ran."""
        return tuple(sorted(one for part in self.parts for one in getattr(part, "busy", ())))

    @busy.setter
    def busy(self, busy: tuple[Interval, ...]) -> None:
        """What the parts say counts."""


class Together(Composite):
    """Several operations as one: over when all are, with what *combine* makes of their values.

    Parameters
    ----------
    parts
        Events; those that are over already count as well.
    combine
        Gets their values, in order.
    kind
        The accounting kind of a wait, if it is not that of an `Activity`.
    """

    def __init__(
        self,
        env: simpy.Environment,
        label: str,
        parts: Sequence[Event],
        combine: Callable[[list[Any]], Any],
        kind: str | None = None,
    ):
        super().__init__(env, label)
        self.parts, self._combine = parts, combine
        if kind is not None:
            self.kind = kind
        missing = [part for part in parts if part.callbacks is not None]
        self._missing = len(missing)
        for part in missing:
            assert part.callbacks is not None
            part.callbacks.append(self._one_is_over)
        if not missing:
            self._all_are_over()

    def _one_is_over(self, _: Event) -> None:
        self._missing -= 1
        if not self._missing:
            self._all_are_over()

    def _all_are_over(self) -> None:
        self.fire(self._combine([part.value for part in self.parts]))


class First(Composite):
    """Over as soon as one of several operations is; its value is that operation."""

    def __init__(self, env: simpy.Environment, label: str, parts: Sequence[Event]):
        super().__init__(env, label)
        self.parts = parts
        for part in parts:
            if part.callbacks is None:
                self.fire(part)
                return
        for part in parts:
            assert part.callbacks is not None
            part.callbacks.append(self._one_is_over)

    def _one_is_over(self, part: Event) -> None:
        if self.callbacks is not None:
            self.fire(part)


def done(env: simpy.Environment, value: Value) -> Event:
    """An event that is already over: waiting for it costs nothing, not even an event."""
    event = Event.__new__(Event)
    event.env, event._ok, event._value = env, True, value
    event.callbacks = None  # type: ignore[assignment]
    return event


class Computation(Activity):
    """Work that takes a time known in advance, and that can be broken off and begun anew."""

    kind = "compute"

    def withdraw(self) -> None:
        """Take it out of the clock's queue: it is not over until it is put back."""
        _remove(self.env._queue, self)

    def put_back(self, delay: float) -> None:
        """Let it be over *delay* seconds from now, after it was withdrawn."""
        heappush(self.env._queue, (self.env._now + delay, NORMAL, next(self.env._eid), self))


def when_over(event: Event, action: Callable[[], Any]) -> None:
    """Do *action* when *event* is over, which it may be already."""
    if event.callbacks is None:
        action()
    else:
        event.callbacks.append(lambda _: action())


class Deferred(Event):
    """A timeout that receives its value from *batch* just before it is processed.

    One can also hand it on (`hand_over`) to somebody who will `take` the value later,
    perhaps one of many (`in_order`): then it is evaluated there and not kept.

    Attributes
    ----------
    request
        What is to be evaluated; None once that is done.
    """

    kind = "compute"
    label = "a gradient"
    handed_over = taken = False

    def __init__(self, batch: Batch, delay: float, request: Any):
        env = self.env = batch.env
        self.batch, self.request = batch, request
        self.callbacks = [batch.resolve]  # runs before any process resumes
        self._ok, self.known = True, None
        entry = (env._now + delay, NORMAL, next(env._eid), self)
        heappush(env._queue, entry)
        heappush(batch.open, entry)

    @property
    def _value(self) -> Any:  # what SimPy gives to those who wait
        if self.taken:
            raise SimulatorError(
                f"{self.label} was handed over, and whoever got it has used it up; "
                "wait for it before that, or do not hand it over"
            )
        if self.request is not None and self.callbacks is None:
            self.batch.fill([self])
        return self.known

    def hand_over(self, then: Callable[[Event], Any]) -> None:
        """Call *then* when the time has come; the value stays open until it is taken."""
        self.handed_over = True
        if self.callbacks is None:
            then(self)
        else:
            self.callbacks.append(then)

    def withdraw(self) -> None:
        """Take it out of the clock's queue: it does not fall due until it is put back."""
        _remove(self.env._queue, self)
        _remove(self.batch.open, self)

    def put_back(self, delay: float) -> None:
        """Let it fall due *delay* seconds from now, after it was withdrawn."""
        entry = (self.env._now + delay, NORMAL, next(self.env._eid), self)
        heappush(self.env._queue, entry)
        if self.batch.resolve in self.callbacks:  # not evaluated with others meanwhile
            heappush(self.batch.open, entry)

    def is_open(self) -> bool:
        """Has it fallen due without being evaluated?"""
        return self.request is not None and self.callbacks is None

    def take(self) -> Any:
        """The value, which this event then forgets."""
        value = self._value
        self.known, self.taken = None, True
        return value


def _remove(heap: list[Any], event: Event) -> None:
    """Remove the entry of *event* from a heap, if there is one."""
    for at, entry in enumerate(heap):
        if entry[3] is event:
            heap[at] = heap[-1]
            heap.pop()
            heapify(heap)
            return


def in_order(parts: Sequence[Any]) -> Iterator[Any]:
    """Every part in turn; a `Deferred` gives its value away, evaluated in stacks on the way."""
    for at, part in enumerate(parts):
        if not isinstance(part, Deferred):
            yield part
            continue
        if part.request is not None:
            following = parts[at : at + part.batch.limit]
            part.batch.fill([p for p in following if isinstance(p, Deferred) and p.is_open()])
        yield part.take()


class Batch:
    """Collects `Deferred` requests and evaluates them in stacks of at most *limit*.

    The request that has fallen due brings those along that will fall due next: their
    values are asked for while they are still in the cache, and few are kept at a time.

    Parameters
    ----------
    env
        The clock.
    evaluate
        Maps a list of requests to the list of their values.
    limit
        Requests per stack; 1 is the debugging mode.  Results must not depend on it.
    """

    def __init__(self, env: simpy.Environment, evaluate: Evaluate, limit: int = 64):
        self.env, self.evaluate, self.limit = env, evaluate, limit
        self.open: list[Entry] = []  # a heap, the next to fall due first

    def request(self, delay: float, request: Any) -> Deferred:
        return Deferred(self, delay, request)

    def resolve(self, due: Deferred) -> None:
        """Give *due*, which is the first open one, and those after it their values."""
        opened = self.open
        if due.handed_over:
            heappop(opened)
            return
        stack = [heappop(opened)[3] for _ in range(min(self.limit, len(opened)))]
        self.fill(stack)
        for event in stack[1:]:
            del event.callbacks[0]  # this method

    def resolve_early(self, wanted: Deferred) -> None:
        """Give *wanted* its value before it falls due, and those values that are due next."""
        if wanted.request is None:
            return
        stack = [wanted]
        while self.open and len(stack) < self.limit:
            following = heappop(self.open)[3]
            if following is not wanted:
                stack.append(following)
        _remove(self.open, wanted)
        self.fill(stack)
        for event in stack:
            event.callbacks.remove(self.resolve)

    def fill(self, stack: Sequence[Deferred]) -> None:
        """Give all of *stack* their values."""
        values = self.evaluate([event.request for event in stack])
        for event, value in zip(stack, values, strict=True):
            event.known, event.request = value, None
