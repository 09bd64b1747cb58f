"""DC-ASGD: the server corrects stale gradients to first order.

Zheng et al., Asynchronous Stochastic Gradient Descent with Delay Compensation,
arXiv:1609.08326; the rules as in the authors' Multiverso updaters, commit 13454c6.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from simulator.algorithms.base import ELASTIC, Needs, Specification, register
from simulator.cluster import Cluster, Server, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.learning import State

CONSTANT, ADAPTIVE = 0.04, 2.0  # lambda, and lambda_0


@register("dc-asgd")
@dataclass(frozen=True)
class DCASGD:
    """ASGD in which the server adds what a gradient has missed, as far as it can tell.

    ::

        worker i:  push g = grad(w_i, batch_i);  w_i = pull
        server:    w = w - rate * (g + lambda * g * g * (w - w_i))        constant
                   m = memory * m + (1 - memory) * g * g                  adaptive:
                   lambda = lambda_0 / sqrt(m + epsilon)

    Parameters
    ----------
    variant
        `constant` or `adaptive`.
    compensation
        lambda, or lambda_0 if adaptive; by default 0.04 and 2.  0 is async-ps.
    memory, epsilon
        Of the mean square m.
    mean_square
        One m per `worker`, or one for `all`.
    """

    variant: Literal["constant", "adaptive"] = "constant"
    compensation: Annotated[float, Ge(0)] | None = None
    memory: Annotated[float, Ge(0), Lt(1)] = 0.95
    epsilon: Annotated[float, Gt(0)] = 1e-7
    mean_square: Literal["worker", "all"] = "worker"

    needs: ClassVar[Needs] = Needs(
        lock_step=False, servers=1, optimizer=frozenset({"weight_decay"}), failures=ELASTIC
    )
    paper: ClassVar[str] = "arXiv:1609.08326"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        server, memory = cluster.server(), MeanSquares(self.memory)
        for worker in cluster.workers:
            yield self.replica(worker, server, memory)

    def replica(self, worker: Worker, server: Server, memory: MeanSquares) -> Process:
        params, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            apply = partial(self.applied, worker, server, memory, params, grad, state)
            params, staleness, state = yield server.exchange(worker, apply)
            worker.finish_step(step, params, loss, staleness)

    def applied(
        self,
        worker: Worker,
        server: Server,
        memory: MeanSquares,
        params: Params,
        grad: Params,
        state: State,
    ) -> tuple[Params, int, State]:
        """What the server does when the gradient at *params* has arrived."""
        whole = self.compensated(worker.rank, grad, server.params - params, memory)
        change, state = worker.update(params, whole, state)
        return *server.add(worker, change), state

    def compensated(self, rank: int, grad: Params, missed: Params, memory: MeanSquares) -> Params:
        """*grad*, taken *missed* ago, as it would be now."""
        adaptive = self.variant == "adaptive"
        usual = ADAPTIVE if adaptive else CONSTANT
        scale: Any = usual if self.compensation is None else self.compensation
        if adaptive:
            square = memory.update(rank if self.mean_square == "worker" else None, grad)
            scale = scale / np.sqrt(square + self.epsilon)
        compensated: Params = grad + scale * grad * grad * missed
        return compensated


@dataclass
class MeanSquares:
    """Moving averages of squared gradients, by owner."""

    memory: float
    values: dict[int | None, Params] = field(default_factory=dict)

    def update(self, owner: int | None, grad: Params) -> Params:
        """The average after *grad*; it begins with 0."""
        before = self.values.get(owner, np.zeros_like(grad))
        self.values[owner] = self.memory * before + (1 - self.memory) * grad * grad
        return self.values[owner]
