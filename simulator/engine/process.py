"""Processes that report every wait, so that somebody can keep the books."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Generator
from types import FunctionType
from typing import Any, Protocol

from simpy.events import NORMAL, Event, Process, _describe_frame

from simulator.engine.deferred import Activity
from simulator.errors import SimulatorError


class Observer(Protocol):
    """Keeps the books of a process.

    `resume` is called with an event that the process was blocked on and the times at
    which the wait began and ended; only for time after `cursor`, which the books do not
    hold yet, and for every `Activity`, part of which may lie before the wait.
    """

    cursor: float

    def resume(self, event: Event, since: float, now: float) -> None: ...


class Watched(Process):
    """A SimPy process that tells its observer what it was blocked on, since when, until when.

    It does what `simpy.Process` does, with one call per wait; wrapping the generator in
    another one instead costs a tenth of a run.

    Attributes
    ----------
    observer
        Told of a wait before the process goes on.
    held
        What has fired while the process may not go on; None if it may.
    """

    observer: Observer | None = None
    held: list[Event] | None = None
    _since = 0.0

    def hold(self) -> None:
        """Let nothing wake the process until it is released."""
        self.held = []

    def release(self) -> None:
        """Let the process go on with what has fired meanwhile, after the present event."""
        held, self.held = self.held or [], None
        for event in held:
            self.env.at(self.env.now, NORMAL, lambda event=event: self._resume(event))  # type: ignore[attr-defined]

    def kill(self) -> None:
        """End the process where it stands."""
        target = self._target
        if target is not None and target.callbacks is not None and self._resume in target.callbacks:
            target.callbacks.remove(self._resume)
        self._generator.close()
        self._target, self.held = None, []  # type: ignore[assignment]
        self._finish(True, None)

    def _resume(self, event: Event) -> None:
        if self.held is not None:
            self.held.append(event)
            return
        env = self.env
        observer, now = self.observer, env._now
        if observer is not None and (now > observer.cursor or isinstance(event, Activity)):
            observer.resume(event, self._since, now)
        env._active_proc = self
        send: Callable[[Any], Event] = self._generator.send
        waiting: Event | None = event
        try:
            while event._ok:
                event = send(event._value)
                if not isinstance(event, Event):
                    frame = _describe_frame(self._generator.gi_frame)
                    raise TypeError(f"\n{frame}{event!r} was yielded, which is no event")
                if event.callbacks is not None:
                    event.callbacks.append(self._resume)
                    waiting = event
                    break
                if isinstance(event, Activity) and self.observer is not None:
                    self.observer.resume(event, now, now)  # over when it was yielded
            else:  # SimPy throws the failure into the generator
                super()._resume(event)
                self._since = now
                return
        except StopIteration as end:
            self._finish(True, end.value)
            waiting = None
        except BaseException as error:
            self._finish(False, error)
            waiting = None
        self._since, self._target, env._active_proc = now, waiting, None  # type: ignore[assignment]

    def _finish(self, ok: bool, value: Any) -> None:
        self._ok, self._value = ok, value
        self.env.schedule(self)


def again(generator: Generator[Event, Any, Any]) -> Callable[[], Generator[Event, Any, Any]]:
    """A way to begin *generator* once more: its function with the arguments it was called with.

    A generator that has not begun yet knows nothing but its arguments.

    Raises
    ------
    SimulatorError
        If it has begun, or is made by a function within a function, or one that takes any
        number of arguments.

    >>> def count(upto):
    ...     yield from range(upto)
    >>> first = count(3)
    >>> second = again(first)
    >>> list(first), list(second()), list(second())
    ([0, 1, 2], [0, 1, 2], [0, 1, 2])
    """
    made: Any = generator
    code, frame = made.gi_code, made.gi_frame
    open_ended = code.co_flags & (inspect.CO_VARARGS | inspect.CO_VARKEYWORDS)
    if (
        code.co_freevars
        or open_ended
        or inspect.getgeneratorstate(generator) != inspect.GEN_CREATED
    ):
        raise SimulatorError(f"{code.co_qualname} cannot be begun again")
    function, given = FunctionType(code, frame.f_globals), dict(frame.f_locals)
    return lambda: function(**given)
