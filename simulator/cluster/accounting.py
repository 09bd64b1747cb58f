"""Where a worker's time goes: compute, io, communication or idle, without a gap.

Every instant of a worker belongs to the first that applies: compute; io (it is blocked
on its loader); communication (it is blocked on a transfer of its own that has begun);
idle (blocked before that, waiting for peers or a queue, or finished).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from simpy.events import Condition, Event

from simulator.engine import Activity, Table, Watched
from simulator.engine.deferred import Interval
from simulator.engine.trace import LANES, SPAN_KINDS

COMPUTE, IO, COMMUNICATION, IDLE = range(len(SPAN_KINDS))

Process = Generator[Event, Any, Any]


class Lane:
    """The spans of one process, side by side from time 0; no instant is counted twice.

    Attributes
    ----------
    cursor
        Time up to which the lane is accounted for, s.
    """

    def __init__(self, spans: Table, worker: int, lane: str):
        self.cursor = 0.0
        self.process: Watched | None = None
        self._spans, self._append, self._row = spans, spans.append, spans.row
        self._worker, self._lane = worker, LANES.index(lane)

    def fill(self, kind: int, until: float) -> None:
        """Account for the time from the cursor to *until*."""
        start = self.cursor
        if until > start:
            self._append(self._row(self._worker, self._lane, kind, start, until))
            self.cursor = until

    def cut(self, now: float) -> None:
        """Take back what lies after *now*: the end of a computation that is not to be."""
        if self.cursor > now:
            own = {"worker": self._worker, "lane": self._lane, "end_s": self.cursor}
            self._spans.change_last(own, "end_s", now)
            self.cursor = now

    def beside(self, lane: str, kind: int, start: float, end: float) -> None:
        """Record something that runs beside this process: a loader, a hidden transfer."""
        if end > start:
            self._append(self._row(self._worker, LANES.index(lane), kind, start, end))

    def resume(self, event: Event, since: float, now: float) -> None:
        """The process was blocked on *event* from *since* until *now*."""
        busy = event.busy if isinstance(event, Activity) else None
        exposed = max(since, self.cursor)
        if busy and busy[0][0] < exposed:  # it began while the process did other things
            for begin, end in busy:
                self.beside("overlap", COMMUNICATION, begin, min(end, exposed))
        if now > self.cursor:
            self._blocked(event, self._busy(event) if busy is None else busy, now)

    def _blocked(self, event: Event, busy: tuple[Interval, ...], until: float) -> None:
        if getattr(event, "kind", "") == "io":
            self.fill(IO, until)
            return
        append, row, worker, lane = self._append, self._row, self._worker, self._lane
        cursor = self.cursor
        for begin, end in busy:
            if cursor < begin and cursor < until:
                stop = begin if begin < until else until
                append(row(worker, lane, IDLE, cursor, stop))
                cursor = stop
            if cursor < end and cursor < until:
                stop = end if end < until else until
                append(row(worker, lane, COMMUNICATION, cursor, stop))
                cursor = stop
        if cursor < until:
            append(row(worker, lane, IDLE, cursor, until))
        self.cursor = until

    def _busy(self, event: Event) -> tuple[Interval, ...]:
        if isinstance(event, Condition):
            return tuple(
                sorted(interval for part in event._events for interval in self._busy(part))
            )
        return getattr(event, "busy", ())

    def hold(self, now: float) -> bool:
        """Let the process stand still; False if it has ended, or stands still already."""
        process = self.process
        if process is None or not process.is_alive or process.held is not None:
            return False
        self.close(now)
        process.hold()
        return True

    def release(self, now: float) -> bool:
        """Let the process go on; the time since `hold` was idle.  False if it did not stand."""
        process = self.process
        if process is None or not process.is_alive or process.held is None:
            return False
        self.fill(IDLE, now)
        process.release()
        return True

    def kill(self, now: float) -> None:
        """End the process, if it is still alive."""
        if self.process is not None and self.process.is_alive:
            self.close(now)
            self.process.kill()

    def is_alive(self) -> bool:
        """Is there still something to do?"""
        return self.process is not None and self.process.is_alive

    def close(self, end: float) -> None:
        """Account for the rest of a run that ended at *end*, perhaps in mid-air."""
        process = self.process
        if process is not None and process.is_alive and process.held is None:
            waiting = process.target
            self._blocked(waiting, self._busy(waiting), end)
        else:
            self.fill(IDLE, end)


def breakdown(spans: dict[str, NDArray[Any]], workers: int, end: float) -> list[float]:
    """Seconds of every kind in `SPAN_KINDS`, mean over the workers, until *end*."""
    own = spans["lane"] == LANES.index("worker")
    length = np.minimum(spans["end_s"], end) - np.minimum(spans["start_s"], end)
    totals = np.bincount(spans["kind"][own], length[own], len(SPAN_KINDS)) / workers
    seconds: list[float] = totals.tolist()
    return seconds
