"""Checkpoints: what is saved, and how much work a lost worker has to repeat."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from simpy.events import Event

from simulator.cluster.storage import Store
from simulator.engine import Clock

Happening = Generator[Event, Any, None]
Unharmed = Callable[[], bool]  # has a worker not been lost since this was made?


class Checkpoints:
    """Saved states, and the clock of the work that would be lost without them.

    The clock stands still while a checkpoint is waited for, and while nothing is done that
    would have to be repeated.

    Parameters
    ----------
    env, store
        The run's clock, and where checkpoints are kept.
    nbytes
        Of one.
    stands
        Says whether nothing is done; `worked` is to be asked before that changes.
    """

    def __init__(self, env: Clock, store: Store, nbytes: float, stands: Callable[[], bool]):
        self._env, self._store, self._nbytes, self._stands = env, store, nbytes, stands
        self._worked, self._upto = 0.0, 0.0  # s of work, until when
        self._writing = 0  # checkpoints that workers wait for
        self._saved = 0.0  # s of work that the last one holds

    def worked(self) -> float:
        """Seconds of work so far."""
        if not (self._writing or self._stands()):
            self._worked += self._env.now - self._upto
        self._upto = self._env.now
        return self._worked

    def save(self, rank: int, unharmed: Unharmed, waited_for: bool = False) -> Happening:
        """Write the present state from worker *rank*; it counts if that lives so long."""
        state = self.worked()
        self._writing += waited_for
        yield self._store.write(rank, self._nbytes)
        self.worked()
        self._writing -= waited_for
        if unharmed():
            self._saved = max(self._saved, state)

    def redo(
        self, rank: int, upto: float, unharmed: Unharmed
    ) -> Generator[Event, Any, float | None]:
        """Read the last checkpoint, if there is one, and do again what came after it.

        *upto* is what had been worked when *rank* was lost.  Gives the seconds that were
        done again; None if the worker was lost again meanwhile.
        """
        seconds = max(0.0, upto - self._saved)
        if self._saved:
            yield self._store.read(rank, self._nbytes)
        if unharmed():
            yield self._env.timeout(seconds)
        return seconds if unharmed() else None
