"""Update rules as pairs of pure functions `init` and `update`, after optax.

State goes in and comes back; nothing is hidden.  All rules follow PyTorch's SGD::

    q = g + weight_decay * w
    v = momentum * v + q
    w = w - rate * (q  |  v  |  q + momentum * v)        plain | heavy ball | Nesterov
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, NamedTuple, Protocol

import numpy as np
from annotated_types import Ge, Gt, Le, Lt
from numpy.typing import NDArray

from simulator.learning.schedules import SCHEDULES, Constant, Schedule, warm_up
from simulator.registry import Registry

Array = NDArray[np.floating[Any]]
Rate = Callable[[int], float]


class State(NamedTuple):
    """What an update rule remembers: its own step count and the velocity, if it has one."""

    step: int
    velocity: Array | None


class Optimizer(NamedTuple):
    """`init(params) -> state`, `update(grad, state, params) -> (change, state)`.

    The change is to be added to the parameters.  What the rule is made of is there for
    algorithms with a rule of their own.

    Attributes
    ----------
    rate
        Learning rate by step.
    momentum, weight_decay
        Its constants.
    """

    init: Callable[[Array], State]
    update: Callable[[Array, State, Array], tuple[Array, State]]
    rate: Rate
    momentum: float = 0.0
    weight_decay: float = 0.0


def decayed(grad: Array, params: Array, weight_decay: float) -> Array:
    """Gradient of the loss with the penalty ``weight_decay / 2 * |params|^2``."""
    return grad + weight_decay * params if weight_decay else grad


def sgd(rate: Rate, weight_decay: float = 0.0) -> Optimizer:
    """Plain SGD.

    >>> rule = sgd(lambda step: 0.5)
    >>> w = np.array([2.0]); change, state = rule.update(np.array([1.0]), rule.init(w), w)
    >>> change.tolist(), state
    ([-0.5], State(step=1, velocity=None))
    """

    def init(params: Array) -> State:
        del params  # plain SGD remembers nothing but its step
        return State(0, None)

    def update(grad: Array, state: State, params: Array) -> tuple[Array, State]:
        change = -rate(state.step) * decayed(grad, params, weight_decay)
        return change, State(state.step + 1, None)

    return Optimizer(init, update, rate, 0.0, weight_decay)


def _with_velocity(rate: Rate, momentum: float, weight_decay: float, nesterov: bool) -> Optimizer:
    def init(params: Array) -> State:
        velocity = np.zeros_like(params)
        velocity.setflags(write=False)
        return State(0, velocity)

    def update(grad: Array, state: State, params: Array) -> tuple[Array, State]:
        q = decayed(grad, params, weight_decay)
        velocity = momentum * state.velocity + q  # type: ignore[operator]
        velocity.setflags(write=False)
        direction = q + momentum * velocity if nesterov else velocity
        return -rate(state.step) * direction, State(state.step + 1, velocity)

    return Optimizer(init, update, rate, momentum, weight_decay)


def heavy_ball(rate: Rate, momentum: float, weight_decay: float = 0.0) -> Optimizer:
    """SGD with Polyak's momentum."""
    return _with_velocity(rate, momentum, weight_decay, False)


def nesterov(rate: Rate, momentum: float, weight_decay: float = 0.0) -> Optimizer:
    """SGD with Nesterov's momentum (PyTorch's form)."""
    return _with_velocity(rate, momentum, weight_decay, True)


class OptimizerSettings(Protocol):
    """A scenario's `learning.optimizer`."""

    def build(self, workers: int) -> Optimizer: ...

    def restricted(self, takes: frozenset[str]) -> tuple[OptimizerSettings, tuple[str, ...]]: ...


OPTIMIZERS: Registry[OptimizerSettings] = Registry("optimizer")


@OPTIMIZERS.register("sgd")
@dataclass(frozen=True)
class SGD:
    """SGD with optional momentum, weight decay and schedule.

    `linear_scaling` multiplies the rate by the number of workers, in methods that
    average the gradients or models of all workers in lock step.
    """

    lr: Annotated[float, Gt(0)] = 0.05
    momentum: Annotated[float, Ge(0), Lt(1)] = 0.0
    nesterov: bool = False
    weight_decay: Annotated[float, Ge(0)] = 0.0
    schedule: Annotated[Schedule, SCHEDULES] = field(default_factory=Constant)
    warmup_steps: Annotated[int, Ge(0)] = 0
    warmup_from: Annotated[float, Ge(0), Le(1)] = 0.0
    linear_scaling: bool = False

    def rate(self, workers: int) -> Rate:
        """Learning rate by step."""
        peak = self.lr * (workers if self.linear_scaling else 1)
        if isinstance(self.schedule, Constant) and not self.warmup_steps:
            return lambda step: peak
        return lambda step: (
            peak * self.schedule.factor(step) * warm_up(step, self.warmup_steps, self.warmup_from)
        )

    def build(self, workers: int) -> Optimizer:
        rate = self.rate(workers)
        if not self.momentum:
            return sgd(rate, self.weight_decay)
        rule = nesterov if self.nesterov else heavy_ball
        return rule(rate, self.momentum, self.weight_decay)

    def restricted(self, takes: frozenset[str]) -> tuple[SGD, tuple[str, ...]]:
        """These settings without what an algorithm does not take, and the names of that."""
        plain = SGD()
        ignored = tuple(
            name
            for name in ("momentum", "nesterov", "weight_decay", "linear_scaling")
            if name not in takes and getattr(self, name) != getattr(plain, name)
        )
        kept = replace(self, **{name: getattr(plain, name) for name in ignored})
        return kept, ignored
