"""What a straggler model is, and the registry of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulator.cluster.episodes import Episode
from simulator.cluster.layout import Layout
from simulator.registry import Registry

Rng = Callable[..., np.random.Generator]  # index... -> a stream of this model's own
OfStep = Callable[[int, int], float]  # (worker, its step) -> what it says of that step


@dataclass(frozen=True)
class Slowdown:
    """What a straggler model does to computations.

    Attributes
    ----------
    factor
        How many times as long a step takes.
    delay
        Seconds that a step takes more; several models' delays are added after factors.
    episodes
        Times in which a worker is slow, whatever it computes then; None for one that
        never is.
    """

    factor: OfStep | None = None
    delay: OfStep | None = None
    episodes: Callable[[int], Iterator[Episode] | None] | None = None


class StragglerModel(Protocol):
    """One entry of a scenario's `stragglers`; what several do is combined.

    `check_on` refuses what does not fit the cluster, and `bind` says what happens there.
    """

    def check_on(self, layout: Layout) -> None: ...

    def bind(self, layout: Layout, rng: Rng) -> Slowdown: ...


STRAGGLERS: Registry[StragglerModel] = Registry("straggler")
