"""The clock: SimPy's environment, which ends with the work and never goes back."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from heapq import heappop, heappush
from typing import Any

import simpy
from simpy.events import Event, EventPriority, Process

from simulator.engine.process import Watched
from simulator.errors import ClockError, SimulatorError

# SimPy's own are 0 (urgent) and 1 (normal).
NETWORK = EventPriority(2)  # transfers that begin at an instant are settled together
AFTER_THE_INSTANT = EventPriority(3)


class Stalled(SimulatorError):
    """Nothing is left to happen although processes still wait.

    The message lists every process with what it waits for.
    """


class Clock(simpy.Environment):
    """Simulated time in seconds and the processes that it drives.

    Attributes
    ----------
    deadline
        When the run ends at the latest, s.

    Notes
    -----
    A *work* process belongs to the run; a *service* (a server, an averager, a
    loader) does not keep the run alive.
    """

    def __init__(self) -> None:
        super().__init__()
        self._work: dict[Watched, str] = {}
        self._stop = False
        self._lulls = 0
        self.deadline = math.inf

    def work(self, generator: Generator[Event, Any, Any], name: str) -> Watched:
        """Start a process that must end before the run does."""
        process = Watched(self, generator)
        self._work[process] = name
        process.callbacks.append(self._finish)
        return process

    def rename(self, process: Watched, name: str) -> None:
        """Let a process of work be called *name*."""
        if process in self._work:
            self._work[process] = name

    def excuse(self, process: Watched) -> None:
        """Let the run end without *process*, until it is work again."""
        self._work.pop(process, None)

    def recall(self, process: Watched, name: str) -> None:
        """Let *process*, which was excused, be work again."""
        self._work[process] = name

    def service(self, generator: Generator[Event, Any, Any]) -> Process:
        """Start a process that may still wait when the run ends."""
        return self.process(generator)

    def after_instant(self, action: Callable[[], Any], delay: float = 0.0) -> None:
        """Call *action* after all events of the instant that lies *delay* seconds ahead."""
        self.at(self._now + delay, AFTER_THE_INSTANT, action)

    def at(self, time: float, priority: EventPriority, action: Callable[[], Any]) -> None:
        """Call *action* at *time*, after the events of that instant with a lower priority."""
        event = Event(self)
        event._ok, event._value = True, None
        event.callbacks.append(lambda _: action())
        heappush(self._queue, (time, priority, next(self._eid), event))

    def lull(self, delay: float) -> Event:
        """Event that fires *delay* seconds from now, but keeps no work waiting.

        A run in which nothing is left to happen but the end of lulls has stalled.
        """
        self._lulls += 1
        event = self.timeout(delay)
        event.callbacks.append(self._lull_ended)
        return event

    def _lull_ended(self, _: Event) -> None:
        self._lulls -= 1

    @property
    def horizon(self) -> float:
        """Nothing can happen before this time but what is scheduled at it already, s.

        Whoever models something by itself may go on until then without asking.
        """
        following = self._queue[0][0] if self._queue else math.inf
        return min(following, math.nextafter(self.deadline, math.inf))

    def stop(self) -> None:
        """End the run after the current event."""
        self._stop = True

    def run_to_end(self) -> None:
        """Run until the last work process has ended, `stop` was called or `deadline` is over.

        What happens at the instant of the deadline is part of the run.

        Raises
        ------
        Stalled
            If work is waiting and nothing is scheduled any more.
        ClockError
            If the next event lies in the past, or at no time at all.
        """
        queue, work = self._queue, self._work
        while work and not self._stop:
            if len(queue) <= self._lulls:
                raise Stalled(self._report())
            due, _, _, event = queue[0]
            if due > self.deadline:
                self._now = self.deadline
                return
            if not due >= self._now:  # also true for nan
                raise ClockError(
                    f"{describe(event)} is due at {due!r} s, but it is {self._now!r} s already"
                )
            heappop(queue)  # from here on as `simpy.Environment.step`, without the call
            self._now = due
            callbacks, event.callbacks = event.callbacks, None  # type: ignore[assignment]
            for callback in callbacks:
                callback(event)
            if not (event._ok or event.defused):
                raise event._value

    def _finish(self, process: Event) -> None:
        self._work.pop(process, None)  # type: ignore[call-overload]

    def _report(self) -> str:
        lines = [f"nothing happens after {self.now:g} s, but {len(self._work)} processes wait:"]
        for process, name in self._work.items():
            waits = f"waits for {describe(process.target)}"
            lines.append(f"  {name} {waits if process.held is None else 'is down'}")
        return "\n".join(lines[:21] + [f"  ... and {len(lines) - 21} more"] * (len(lines) > 21))


def describe(event: Event | None) -> str:
    """What *event* stands for, in words."""
    label = getattr(event, "label", None)
    if callable(label):
        return str(label())
    return str(label) if label else f"an event nobody fires ({event!r})"
