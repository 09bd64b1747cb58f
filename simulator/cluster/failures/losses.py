"""When workers and hosts are lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

import numpy as np

from simulator.cluster.layout import Layout, Of, Some, SomeOrAll
from simulator.cluster.randomtimes import DURATIONS, Constant, Random
from simulator.errors import InvalidInput
from simulator.registry import Registry
from simulator.units import Duration, Seconds


class LossModel(Protocol):
    """One entry of `failures.losses`.

    `units` are the workers that are lost together, `lives` the times (s) from the beginning,
    or from the return of a unit, to its next loss.  It is announced `notice` seconds ahead,
    and the unit is away for `away`, by default as long as `failures.restart` says.
    """

    @property
    def notice(self) -> float: ...

    @property
    def away(self) -> Random | None: ...

    def check_on(self, layout: Layout) -> None: ...

    def units(self, layout: Layout, rng: np.random.Generator) -> list[list[int]]: ...

    def lives(self, rng: np.random.Generator) -> Iterator[float]: ...


LOSSES: Registry[LossModel] = Registry("loss")


@LOSSES.register("timed")
@dataclass(frozen=True, kw_only=True)
class TimedLoss(Some):
    """Some workers or hosts are lost at a given time."""

    at: Seconds
    away: Annotated[Random, DURATIONS] | None = None

    notice = 0.0

    def units(self, layout: Layout, rng: np.random.Generator) -> list[list[int]]:
        """All chosen workers at once."""
        return [self.chosen(layout, rng)]

    def lives(self, rng: np.random.Generator) -> Iterator[float]:
        """One life."""
        del rng
        yield self.at


@LOSSES.register("random")
@dataclass(frozen=True, kw_only=True)
class RandomLoss(SomeOrAll):
    """Hosts, or workers, are lost after random times, exponential with mean `mtbf` each.

    The mean time between failures of the whole cluster is that of one of its hosts over
    their number.
    """

    mtbf: Duration = 86_400.0
    of: Of = "hosts"
    away: Annotated[Random, DURATIONS] | None = None

    notice = 0.0

    def units(self, layout: Layout, rng: np.random.Generator) -> list[list[int]]:
        """Hosts, racks or single workers."""
        return together(layout, self.of, self.chosen(layout, rng))

    def lives(self, rng: np.random.Generator) -> Iterator[float]:
        """One life after the other."""
        while True:
            yield float(rng.exponential(self.mtbf))


@LOSSES.register("preemption")
@dataclass(frozen=True, kw_only=True)
class Preemption(SomeOrAll):
    """Spot machines are taken away, `notice` after being told, and others come after `away`.

    They are told `at` a given time, or after random times, exponential with mean `mtbf`
    each.  What is told is used: where a lost worker is waited for it saves a checkpoint, and
    where the others go on without it it leaves at the end of its step.
    """

    at: Seconds | None = None
    mtbf: Duration | None = None
    notice: Seconds = 120.0
    of: Of = "hosts"
    away: Annotated[Random, DURATIONS] | None = field(default_factory=lambda: Constant(300.0))

    def check_on(self, layout: Layout) -> None:
        """Refuse what is not there, and anything but one of `at` and `mtbf`."""
        super().check_on(layout)
        if (self.at is None) == (self.mtbf is None):
            raise InvalidInput("give exactly one of at and mtbf")

    def units(self, layout: Layout, rng: np.random.Generator) -> list[list[int]]:
        """Hosts, racks or single workers."""
        return together(layout, self.of, self.chosen(layout, rng))

    def lives(self, rng: np.random.Generator) -> Iterator[float]:
        """One life, or one after the other."""
        if self.at is not None:
            yield self.at
            return
        while True:
            assert self.mtbf is not None
            yield float(rng.exponential(self.mtbf))


def together(layout: Layout, of: Of, ranks: Sequence[int]) -> list[list[int]]:
    """*ranks* by the host or rack that they share."""
    numbers = layout.numbers(of)
    units: dict[int, list[int]] = {}
    for rank in ranks:
        units.setdefault(numbers[rank], []).append(rank)
    return list(units.values())
