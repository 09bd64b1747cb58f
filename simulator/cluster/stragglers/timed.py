"""Stragglers that are slow at times, whatever step they are in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from simulator.cluster.episodes import Episode, repeated
from simulator.cluster.layout import Layout, SomeOrAll
from simulator.cluster.stragglers.base import STRAGGLERS, Rng, Slowdown
from simulator.errors import InvalidInput
from simulator.units import Duration, Seconds

Common = Literal["worker", "host", "all"]
LEAST = 1e-4  # s
MOST_PAUSE = 0.99  # of a period
Slower = Annotated[float, Gt(0), Le(1e6)]


def not_too_short(name: str, seconds: float) -> None:
    """Refuse times so short that a step would have millions of episodes.

    Raises
    ------
    InvalidInput
        If *seconds* are less than `LEAST`.
    """
    if seconds < LEAST:
        raise InvalidInput(f"{name} is {seconds:g} s; the least that can be simulated is {LEAST} s")


def _stream_index(layout: Layout, common: Common, worker: int) -> int:
    """Workers with the same number share their episodes."""
    return {"worker": worker, "host": layout.hosts[worker], "all": 0}[common]


@STRAGGLERS.register("markov")
@dataclass(frozen=True, kw_only=True)
class Markov(SomeOrAll):
    """Workers fall into slow episodes and out of them, as hosts do that others use as well.

    Normal times and slow ones alternate; both are exponential, with the given means.  With
    ``common: host`` the workers of a host are slow together.
    """

    normal: Duration = 60.0
    slow: Duration = 10.0
    factor: Slower = 2.0
    common: Common = "worker"

    def check_on(self, layout: Layout) -> None:
        """Refuse who is not there, and episodes too short to be followed."""
        super().check_on(layout)
        not_too_short("normal", self.normal)
        not_too_short("slow", self.slow)

    def bind(self, layout: Layout, rng: Rng) -> Slowdown:
        chosen = dict.fromkeys(self.chosen(layout, rng()))

        def episodes(worker: int) -> Iterator[Episode] | None:
            if worker not in chosen:
                return None
            return self.drawn(rng(1, _stream_index(layout, self.common, worker)))

        return Slowdown(episodes=episodes)

    def drawn(self, rng: np.random.Generator) -> Iterator[Episode]:
        """Episodes, beginning in the long-run state of the chain."""
        now = 0.0
        if rng.random() < self.slow / (self.slow + self.normal):  # slow already
            now = float(rng.exponential(self.slow))
            yield 0.0, now, self.factor
        while True:
            begin = now + float(rng.exponential(self.normal))
            now = begin + float(rng.exponential(self.slow))
            yield begin, now, self.factor


@STRAGGLERS.register("periodic")
@dataclass(frozen=True, kw_only=True)
class Periodic(SomeOrAll):
    """Every `period` workers stand still for `duration`: garbage collection, a daemon.

    A finite `factor` slows them down instead.  They do so at times of their own, drawn at
    random, or together with their host or with all others (`common`); `offset` gives the
    first time to everybody.
    """

    period: Duration = 10.0
    duration: Duration = 0.1
    factor: Slower | None = None
    offset: Seconds | None = None
    common: Common = "worker"

    def check_on(self, layout: Layout) -> None:
        """Refuse pauses that leave no time to work."""
        super().check_on(layout)
        not_too_short("period", self.period)
        if self.duration > MOST_PAUSE * self.period:
            raise InvalidInput(
                f"duration is {self.duration:g} s; it must be at most {MOST_PAUSE} of the period "
                f"of {self.period:g} s, so that there is time to work"
            )

    def bind(self, layout: Layout, rng: Rng) -> Slowdown:
        chosen = dict.fromkeys(self.chosen(layout, rng()))
        factor = math.inf if self.factor is None else self.factor

        def episodes(worker: int) -> Iterator[Episode] | None:
            if worker not in chosen:
                return None
            first = self.offset
            if first is None:
                drawn = rng(1, _stream_index(layout, self.common, worker)).random()
                first = float(drawn) * self.period
            return repeated(first, self.period, self.duration, factor)

        return Slowdown(episodes=episodes)


@STRAGGLERS.register("schedule")
@dataclass(frozen=True, kw_only=True)
class Schedule(SomeOrAll):
    """Some workers are slow from `at` until `until`; without `factor` they stand still."""

    at: Seconds = 0.0
    until: Seconds | None = None
    factor: Slower | None = 2.0

    def check_on(self, layout: Layout) -> None:
        """Refuse times that end before they begin, or a standstill without an end."""
        super().check_on(layout)
        if self.until is not None and self.until <= self.at:
            raise InvalidInput(f"until is {self.until:g} s, not later than at, {self.at:g} s")
        if self.until is None and self.factor is None:
            raise InvalidInput("stands still for ever; give until, or a factor (or use failures)")

    def bind(self, layout: Layout, rng: Rng) -> Slowdown:
        chosen = dict.fromkeys(self.chosen(layout, rng()))
        factor = math.inf if self.factor is None else self.factor
        episode = (self.at, math.inf if self.until is None else self.until, factor)
        return Slowdown(episodes=lambda worker: iter([episode]) if worker in chosen else None)
