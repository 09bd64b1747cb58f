"""Processes that report every wait, so that somebody can keep the books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from simpy.events import Event, Process, _describe_frame

from simulator.engine.deferred import Activity


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
    """

    observer: Observer | None = None
    _since = 0.0

    def _resume(self, event: Event) -> None:
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
