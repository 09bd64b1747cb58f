"""LAGA: lagged all-reduce with gradient accumulation.

Hakimi, Aviv, Levy, Schuster, LAGA: Lagged AllReduce with Gradient Accumulation for Minimal
Idle Time, ICDM 2021; only the abstract was available, so weights and momentum are a
reconstruction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np

from simulator.algorithms.base import EVERYTHING, Needs, Specification, in_one_group, register
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.engine.values import frozen
from simulator.network import Group

COUNT_NBYTES = 4.0


class Gathered(NamedTuple):
    """Gradients added up: by one worker, or by all in a round.

    Attributes
    ----------
    total
        Their sum; None if there are none.
    gradients
        How many.
    last
        Whether no more will come.
    """

    total: Any
    gradients: int
    last: bool


@register("laga")
@dataclass(frozen=True)
class LAGA:
    """Workers add gradients up while an all-reduce runs, and never wait for it.

    ::

        a_i = a_i + grad(w_i, batch_i);  n_i = n_i + 1           every step
        if the last all_reduce is through:
            w_i = w_i + update(sum a / sum n)                    of that round
            start all_reduce(a_i, n_i);  a_i = 0;  n_i = 0

    Fast workers contribute more gradients; each is applied once, one round late.

    Parameters
    ----------
    weighting
        A round's mean is over its `gradients`, or over the `workers`' own means.
    """

    weighting: Literal["gradients", "workers"] = "gradients"

    needs: ClassVar[Needs] = Needs(
        lock_step=False,
        optimizer=EVERYTHING - {"linear_scaling"},
        fixed="a round may be under way",
    )
    paper: ClassVar[str] = "Hakimi et al., ICDM 2021"
    specification: ClassVar[Specification] = "reconstruction"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        params, state = worker.start()
        nbytes, pending = world.nbytes + COUNT_NBYTES, None
        own = nothing = Gathered(None, 0, False)
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            own = Gathered(
                grad if own.total is None else own.total + grad, own.gradients + 1, False
            )
            if pending is None or pending.processed:
                if pending is not None:
                    change, state = worker.update(params, (yield pending).total, state)
                    params = worker.apply(params, change)
                pending = world.all_reduce(rank, own, nbytes, merge=self.mean)
                own = nothing
            worker.finish_step(step, params, loss)
        while True:  # until nobody has anything left
            if pending is not None:
                mean = yield pending
                if mean.total is not None:
                    change, state = worker.update(params, mean.total, state)
                    params = worker.apply(params, change)
                    worker.publish(params)
                if mean.last:
                    return
            pending = world.all_reduce(rank, own._replace(last=True), nbytes, merge=self.mean)
            own = nothing

    def mean(self, parts: Sequence[Gathered]) -> Gathered:
        """What a round gives: the mean gradient."""
        given = [part for part in parts if part.total is not None]
        last = all(part.last for part in parts)
        if not given:
            return Gathered(None, 0, last)
        if self.weighting == "workers":
            given = [Gathered(part.total / part.gradients, 1, True) for part in given]
        count = sum(part.gradients for part in given)
        total = np.sum([part.total for part in given], axis=0, dtype=np.float64)
        return Gathered(frozen(total / count), count, last)
