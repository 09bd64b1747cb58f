"""What a scenario says of failures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge

from simulator.cluster.failures.losses import LOSSES, LossModel
from simulator.cluster.randomtimes import DURATIONS, Constant, Random
from simulator.units import Bytes

OnLoss = Literal["wait", "shrink"]


@dataclass(frozen=True)
class Checkpoint:
    """The state is saved every `every` steps, by the first worker.

    It is written to the storage, and the worker's next batch waits for that; `nbytes` are
    twice the gradient's by default: model and momentum.
    """

    every: Annotated[int, Ge(1)] = 100
    nbytes: Bytes | None = None


@dataclass(frozen=True)
class Failures:
    """Which workers are lost, and what the others do then; `none` for no losses.

    `on_loss` matters where workers wait for each other.  ``wait``: they wait until the lost
    one is back.  It restarts after `restart`, reads the checkpoint, and repeats the steps
    since then and what it was about to do; without a checkpoint it begins from the
    beginning.  ``shrink``: the others go on without it; when it is back it joins them with
    the parameters of the first worker.  A `restart` of null means that it never comes back.
    """

    on_loss: OnLoss = "wait"
    restart: Annotated[Random, DURATIONS] | None = field(default_factory=lambda: Constant(60.0))
    checkpoint: Checkpoint | None = field(default_factory=Checkpoint)
    losses: tuple[Annotated[LossModel, LOSSES], ...] = ()
