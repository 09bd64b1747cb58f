"""The job: what every worker computes, with real numbers and shared where replicas agree."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulator.engine.values import frozen
from simulator.learning import Data, Minibatch, Model, Optimizer, State

Params = NDArray[np.floating[Any]]
Value = TypeVar("Value")


class LastResult(Generic[Value]):
    """A pure function that keeps its last result, by identity of the arguments.

    Replicas that agree call it with the same objects one after the other, and so share
    one result: N synchronous workers keep one row of parameters in all.
    """

    def __init__(self, function: Callable[..., Value]):
        self._function = function
        self._arguments: tuple[Any, ...] = (object(),)  # nobody's argument
        self._result: Value

    def __call__(self, *arguments: Any) -> Value:
        if not all(map(is_, arguments, self._arguments)):
            self._result = self._function(*arguments)
            self._arguments = arguments
        return self._result


class Job:
    """Model, data and update rule of a run.

    Parameters
    ----------
    model, data
        What is learned from what.
    optimizer
        The update rule of every worker.
    start
        Initial parameters, the same for all.
    unequal
        Whether the batches of workers differ in size.

    Attributes
    ----------
    update, apply, joined, at_step
        ``update(params, grad, state) -> (change, state)``, ``apply(params, change) -> params``,
        ``joined(*parts) -> vector`` and ``at_step(state, step) -> state``; replicas that agree
        get the same objects.
    """

    def __init__(
        self, model: Model, data: Data, optimizer: Optimizer, start: Params, unequal: bool = False
    ):
        self.model, self.data = model, data
        self.dtype, self.unequal = start.dtype, unequal
        self.start: Params = frozen(start)
        self.state = optimizer.init(start)
        self.optimizer = optimizer
        self.update = LastResult(self._update)
        self.apply = LastResult(self._apply)
        self.joined = LastResult(_joined)
        self._moved = self.state, self.state.step, self.state
        # A stack of gradients should stay in the cache (docs/decisions/0001).
        self.stack_limit = min(64, max(8, 640_000 // max(1, start.nbytes)))

    def _update(self, params: Params, grad: Params, state: State) -> tuple[Params, State]:
        change, state = self.optimizer.update(self.rounded(grad), state, params)
        return frozen(self.rounded(change)), state

    def _apply(self, params: Params, change: Params) -> Params:
        return frozen(self.rounded(params + change))

    def at_step(self, state: State, step: int) -> State:
        """The optimiser's *state* as if it were at *step*."""
        before, at, result = self._moved
        if before is not state or at != step:
            result = state._replace(step=step)
            self._moved = state, step, result
        return result

    def rounded(self, values: Params) -> Params:
        """*values* in the model's dtype; the same object if they have it already."""
        return values if values.dtype == self.dtype else values.astype(self.dtype)

    def gradients(self, requests: Sequence[tuple[Params, Minibatch]]) -> list[tuple[float, Params]]:
        """Loss and gradient of every request (parameters, batch), as one stack."""
        first = requests[0][0]
        if all(params is first for params, _ in requests):
            stack = first[None]
        else:
            stack = np.array([params for params, _ in requests])
        samples = np.array([samples for _, (samples, _) in requests])
        shares = [weights for _, (_, weights) in requests]
        weights = None if shares[0] is None else np.array(shares)
        x, y = self.data.x.take(samples, 0), self.data.y.take(samples, 0)
        loss, grad = self.model.gradients(stack, x, y, weights)
        if self.unequal and weights is not None:  # what counts more has no larger loss
            loss = loss / weights.sum(-1)
        grad.setflags(write=False)
        return list(zip(loss.tolist(), grad, strict=True))

    def evaluate(self, params: Params) -> tuple[float, float, float]:
        """Training loss, held-out loss and held-out accuracy."""
        train_loss, _ = self.model.evaluate(params, self.data.x, self.data.y)
        return train_loss, *self.model.evaluate(params, self.data.x_test, self.data.y_test)


def _joined(*parts: Params) -> Params:
    return frozen(np.concatenate(parts))
