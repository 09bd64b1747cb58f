"""Learning-rate schedules: functions from a worker's own step to a factor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Protocol

from annotated_types import Ge, Gt, Le

from simulator.registry import Registry


class Schedule(Protocol):
    """A scenario's `learning.optimizer.schedule`."""

    def factor(self, step: int) -> float: ...


SCHEDULES: Registry[Schedule] = Registry("schedule")


@SCHEDULES.register("constant")
@dataclass(frozen=True)
class Constant:
    """The rate never changes."""

    def factor(self, step: int) -> float:
        del step
        return 1.0


@SCHEDULES.register("step")
@dataclass(frozen=True)
class Step:
    """The rate is multiplied by `gamma` every `every` steps.

    >>> Step(every=30, gamma=0.1).factor(65)
    0.010000000000000002
    """

    every: Annotated[int, Ge(1)] = 100
    gamma: Annotated[float, Gt(0), Le(1)] = 0.1

    def factor(self, step: int) -> float:
        return float(self.gamma ** (step // self.every))


@SCHEDULES.register("cosine")
@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 down to `final` over `steps` steps, `final` afterwards.

    >>> Cosine(steps=100, final=0.0).factor(50)
    0.5
    """

    steps: Annotated[int, Ge(1)] = 200
    final: Annotated[float, Ge(0), Le(1)] = 0.0

    def factor(self, step: int) -> float:
        done = min(step, self.steps) / self.steps
        return round(self.final + (1 - self.final) * (1 + math.cos(math.pi * done)) / 2, 15)


def warm_up(step: int, steps: int, start: float) -> float:
    """Linear rise from *start* to 1 over *steps* steps.

    >>> [warm_up(step, 4, 0.0) for step in (0, 2, 4, 9)]
    [0.0, 0.5, 1.0, 1.0]
    """
    return 1.0 if step >= steps else start + (1 - start) * step / steps
