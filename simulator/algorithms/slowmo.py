"""SlowMo: momentum on top of another method.

Wang et al., SlowMo: Improving Communication-Efficient Distributed SGD with Slow Momentum,
arXiv:1910.00643, algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Lt

from simulator.algorithms.base import BASES, Algorithm, Needs, OfTheBase, Specification, register
from simulator.algorithms.local_sgd import LocalSGD
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import LastResult, Params
from simulator.engine.process import again
from simulator.network import Group
from simulator.registry import Checked


@register("slowmo")
@dataclass(frozen=True)
class SlowMo:
    """After every `period` steps of a base method: average exactly, then a step of momentum.

    ::

        x_0 = x;  tau steps of the base method;  x_tau = average over all
        u   = beta * u + (x_0 - x_tau) / rate
        x   = x_0 - alpha * rate * u

    The average costs nothing where the base method has just taken it (local-sgd with the
    same period).

    Parameters
    ----------
    base
        The method that takes the steps.
    period
        Steps of an outer iteration (tau).
    slow_momentum, slow_rate
        beta and alpha.
    buffers
        What becomes of the base method's momentum after an outer iteration.
    average
        Whether models are averaged exactly; if not, every worker has a u of its own.
    """

    base: Annotated[Algorithm, BASES] = field(default_factory=LocalSGD)
    period: Annotated[int, Ge(1)] = 8
    slow_momentum: Annotated[float, Ge(0), Lt(1)] = 0.5
    slow_rate: Annotated[float, Gt(0)] = 1.0
    buffers: Literal["reset", "keep", "average"] = "reset"
    average: bool = True

    needs: ClassVar[Needs] = OfTheBase(
        restarts=False, fixed="its outer iteration begins and ends with all workers"
    )
    paper: ClassVar[str] = "arXiv:1910.00643"
    specification: ClassVar[Specification] = "from the paper"

    def check(self, workers: int, hosts: int) -> None:
        """Refuse what the base refuses."""
        if isinstance(self.base, Checked):
            self.base.check(workers, hosts)

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        world = cluster.group(cluster.workers, "outer")
        outer = LastResult(self.outer_step)  # the same for all who have averaged
        rates: dict[int, float] = {}
        for worker, process in zip(cluster.workers, self.base.processes(cluster), strict=True):
            yield self.replica(worker, world, again(process), outer, rates)

    def replica(
        self,
        worker: Worker,
        world: Group,
        base: Callable[[], Process],
        outer: LastResult[Any],
        rates: dict[int, float],
    ) -> Process:
        params, state = worker.start()
        slow = None
        for first in islice(worker.steps(), 0, None, self.period):
            worker.go_on_with(params, state, first, first + self.period)
            yield from base()
            end = worker.params
            if self.average and not self.agrees(worker.finished):
                weighted = end if worker.weight == 1 else worker.weight * end
                end = yield world.mean(worker.rank, weighted)
            rate = rates.setdefault(first, worker.rate(worker.finished - 1))  # one object for all
            params, slow = outer(params, end, slow, rate)
            state = yield from self.next_state(worker, world)
            worker.publish(params)

    def agrees(self, steps: int) -> bool:
        """Has the base method averaged in step number *steps* itself?"""
        agrees_after = getattr(self.base, "agrees_after", None)
        return agrees_after is not None and bool(agrees_after(steps))

    def outer_step(
        self, start: Params, end: Params, slow: Params | None, rate: float
    ) -> tuple[Params, Params | None]:
        """Parameters and slow buffer after an outer iteration from *start* to *end*."""
        moved = start.astype(np.float64) - end
        if not rate:  # the end of a schedule: nothing to divide by
            return (start - self.slow_rate * moved).astype(start.dtype), slow
        slow = moved / rate if slow is None else self.slow_momentum * slow + moved / rate
        return (start - self.slow_rate * rate * slow).astype(start.dtype), slow

    def next_state(self, worker: Worker, world: Group) -> Process:
        """The optimiser's state that the next outer iteration begins with."""
        state = worker.state
        if self.buffers == "reset":
            return worker.at_step(worker.cluster.job.state, state.step)
        if self.buffers == "average" and state.velocity is not None:
            return state._replace(velocity=(yield world.mean(worker.rank, state.velocity)))
        return state
