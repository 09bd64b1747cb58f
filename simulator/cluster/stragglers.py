"""Stragglers: who is slower than the others, and when."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
from annotated_types import Ge, Gt, Le

from simulator.engine import Streams
from simulator.errors import InvalidInput
from simulator.registry import Registry

Slowdown = Callable[[int, int, float], float]  # (worker, its step, now in s) -> factor


class StragglerModel(Protocol):
    """One entry of a scenario's `stragglers`; the factors of several are multiplied."""

    def bind(self, workers: int, streams: Streams) -> Slowdown: ...


STRAGGLERS: Registry[StragglerModel] = Registry("straggler")


@STRAGGLERS.register("slow-workers")
@dataclass(frozen=True)
class SlowWorkers:
    """Some workers compute `factor` times as long, in every step.

    Exactly one of `workers` (ranks), `count` and `fraction` says which; the latter two
    choose at random, one worker at the least for a positive fraction.
    """

    factor: Annotated[float, Gt(0), Le(1e6)] = 2.0
    workers: tuple[Annotated[int, Ge(0)], ...] | None = None
    count: Annotated[int, Ge(0)] | None = None
    fraction: Annotated[float, Ge(0), Le(1)] | None = None

    def check(self, workers: int, hosts: int) -> None:
        """Refuse what does not fit a cluster of *workers*.

        Raises
        ------
        InvalidInput
            If not exactly one choice is given or a rank or count is too large.
        """
        del hosts
        given = [
            name for name in ("workers", "count", "fraction") if getattr(self, name) is not None
        ]
        if len(given) != 1:
            raise InvalidInput(
                f"give exactly one of workers, count, fraction; given: {', '.join(given) or 'none'}"
            )
        outside = [rank for rank in self.workers or () if rank >= workers]
        if outside:
            raise InvalidInput(
                f"there is no worker {outside[0]}; the {workers} workers are 0..{workers - 1}"
            )
        if (self.count or 0) > workers:
            raise InvalidInput(f"count is {self.count} but there are only {workers} workers")

    def chosen(self, workers: int, streams: Streams) -> list[int]:
        """Ranks of the slow workers."""
        if self.workers is not None:
            return list(self.workers)
        share = self.fraction or 0.0
        count = self.count if self.count is not None else max(round(share * workers), share > 0)
        order = streams.get("slow-workers").permutation(workers)
        return sorted(order[:count].tolist())

    def bind(self, workers: int, streams: Streams) -> Slowdown:
        factors = np.ones(workers)
        factors[self.chosen(workers, streams)] = self.factor
        by_rank = factors.tolist()
        return lambda worker, step, now: by_rank[worker]
