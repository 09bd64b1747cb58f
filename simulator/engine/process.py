"""Processes that report every wait, so that somebody can keep the books."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from simpy.events import Event, Process, _describe_frame

Observer = Callable[[Event, float, float], None]


class Watched(Process):
    """A SimPy process that tells its observer what it was blocked on, since when, until when.

    It does what `simpy.Process` does, with one call per wait; wrapping the generator in
    another one instead costs a tenth of a run.

    Attributes
    ----------
    observer
        Called with the event, and the times at which the wait began and ended, before the
        process goes on.  Also called for an event that was over when it was yielded.
    """

    observer: Observer | None = None
    _since = 0.0

    def _resume(self, event: Event) -> None:
        env = self.env
        if self.observer is not None:
            self.observer(event, self._since, env._now)
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
                if self.observer is not None:
                    self.observer(event, env._now, env._now)
            else:  # SimPy throws the failure into the generator
                super()._resume(event)
                self._since = env._now
                return
        except StopIteration as end:
            self._finish(True, end.value)
            waiting = None
        except BaseException as error:
            self._finish(False, error)
            waiting = None
        self._since, self._target, env._active_proc = env._now, waiting, None  # type: ignore[assignment]

    def _finish(self, ok: bool, value: Any) -> None:
        self._ok, self._value = ok, value
        self.env.schedule(self)
