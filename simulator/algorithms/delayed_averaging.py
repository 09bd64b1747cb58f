"""Delayed averaging (DaSGD): an average is merged some steps after it was started.

Zhou et al., DaSGD: Squeezing SGD Parallelization Performance in Distributed Training Using
Delayed Averaging, arXiv:2006.00441; only the abstract was available, so the merge is a
reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from simulator.algorithms.base import Needs, Specification, in_one_group, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.errors import InvalidInput
from simulator.network import Group


@register("delayed-averaging")
@dataclass(frozen=True)
class DelayedAveraging:
    """Local SGD whose all-reduce runs under the next `delay` steps.

    ::

        w_i = w_i + update(grad(w_i, batch_i))               every step
        s_i = w_i;  start all_reduce(s_i)                    every H steps
        w_i = w_i + all_reduce(s_i) / N - s_i                d steps later

    Corrections add up to zero, so what was learned meanwhile survives.

    Parameters
    ----------
    period
        Local steps between two averagings (H).
    delay
        Steps under which an averaging is hidden (d), at most `period`; 0 is local-sgd.
    merge
        `in-place` adds the correction; `mix` takes (1 - share) w_i + share * average.
    share
        Of the average in a mix (xi).
    """

    period: Annotated[int, Ge(1)] = 8
    delay: Annotated[int, Ge(0)] = 1
    merge: Literal["in-place", "mix"] = "in-place"
    share: Annotated[float, Gt(0), Le(1)] = 0.5

    needs: ClassVar[Needs] = Needs(fixed="an averaging may be under way")
    paper: ClassVar[str] = "arXiv:2006.00441"
    specification: ClassVar[Specification] = "reconstruction"

    def check(self, workers: int, hosts: int) -> None:
        """Refuse two averagings at a time."""
        del workers, hosts
        if self.delay > self.period:
            raise InvalidInput(
                f"delay {self.delay} is longer than the period of {self.period} steps; "
                "one averaging has to be over before the next begins"
            )

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        params, state = worker.start()
        pending, snapshot, due = None, params, 0
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            params, steps = worker.apply(params, change), step + 1
            if pending is not None and steps == due:
                params = self.merged(worker, params, snapshot, (yield pending))
                pending = None
            if steps % self.period == 0:
                snapshot, pending, due = params, world.mean(rank, params), steps + self.delay
                if not self.delay:
                    params = self.merged(worker, params, snapshot, (yield pending))
                    pending = None
            worker.finish_step(step, params, loss)
        if pending is not None:
            worker.publish(self.merged(worker, params, snapshot, (yield pending)))

    def merged(self, worker: Worker, params: Params, snapshot: Params, mean: Params) -> Params:
        """*params* after an average of snapshots has come back."""
        if self.merge == "mix":
            return worker.apply(params, self.share * (mean - params))
        if params is snapshot:  # nothing was learned meanwhile
            return mean
        return worker.apply(params, mean - snapshot)
