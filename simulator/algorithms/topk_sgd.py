"""Top-k SGD with error feedback, and deep gradient compression (DGC).

Lin et al., Deep Gradient Compression, arXiv:1712.01887; `dgc.py` of
github.com/epfml/LocalSGD-Code, commit 3d4811d.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from simulator.algorithms.base import EVERYTHING, Needs, Specification, in_one_group, register
from simulator.algorithms.pieces.compression import (
    SELECTION,
    Cost,
    Density,
    Kept,
    Ratio,
    check_kept,
    clipped,
    mean_of_sparse,
    number_kept,
    sparse_nbytes,
)
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.learning.compressors import select, without
from simulator.learning.optimizers import decayed
from simulator.network import Group


@register("topk-sgd")
@dataclass(frozen=True)
class TopKSGD:
    """Send the k largest coordinates; what is not sent is remembered.

    ::

        q = rate * g_i + e_i;  send the k largest of |q|;  e_i = q without them
        w = w - mean of what all have sent                     everyone waits

    With momentum u_i = mu u_i + g_i takes the place of g_i, so that what waits in the
    residual has momentum as well (DGC's momentum correction).

    Parameters
    ----------
    density, k
        Share of the coordinates that is sent, or their number in the small model.
    error_feedback
        Whether what is not sent is remembered.
    momentum_correction
        Momentum before selection; if not, after averaging.
    factor_masking
        Forget the momentum of coordinates that were sent.
    clip
        Longest local gradient, times sqrt(N).
    warmup, warmup_steps
        Densities of the first stretches of steps, and how long each is.
    select_cost
        Time to select, per coordinate of the full-size job.
    wire_ratio
        Bytes of a message per byte of a dense one, if not 2 k / d.
    """

    density: Density = 0.01
    k: Kept = None
    error_feedback: bool = True
    momentum_correction: bool = True
    factor_masking: bool = True
    clip: Annotated[float, Gt(0)] | None = None
    warmup: tuple[Density, ...] = ()
    warmup_steps: Annotated[int, Ge(1)] = 100
    select_cost: Cost = SELECTION
    wire_ratio: Ratio = None

    needs: ClassVar[Needs] = Needs(
        optimizer=EVERYTHING - {"nesterov"},
        fixed="what it has not sent yet would be lost",
        restarts=False,
    )
    paper: ClassVar[str] = "arXiv:1712.01887"
    specification: ClassVar[Specification] = "verified from code"

    def check_model(self, parameters: int) -> None:
        """Refuse to send more than there is."""
        check_kept(self.k, parameters)

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        rule, cluster = worker.cluster.job.optimizer, worker.cluster
        params, _ = worker.start()
        residual = velocity = np.zeros_like(params)
        merge = partial(mean_of_sparse, params.size, world.size)
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            grad = clipped(decayed(grad, params, rule.weight_decay), self.clip, world.size)
            if self.momentum_correction:
                velocity = grad = rule.momentum * velocity + grad
            wanted = residual + worker.rate(step) * grad
            yield worker.spend(self.select_cost * cluster.parameters)
            kept = self.kept(step, params.size)
            sent = select(wanted, kept)
            if self.error_feedback:
                residual = without(wanted, sent.indices)
            if self.factor_masking and self.momentum_correction:
                velocity = without(velocity, sent.indices)
            nbytes = sparse_nbytes(cluster, kept, self.wire_ratio)
            change = yield world.all_gather(rank, sent, nbytes, merge)
            if not self.momentum_correction and rule.momentum:
                velocity = change = rule.momentum * velocity + change
            params = worker.apply(params, change)
            worker.finish_step(step, params, loss)

    def kept(self, step: int, size: int) -> int:
        """Coordinates that are sent in *step*."""
        stretch = step // self.warmup_steps
        if stretch < len(self.warmup):
            return number_kept(None, self.warmup[stretch], size)
        return number_kept(self.k, self.density, size)
