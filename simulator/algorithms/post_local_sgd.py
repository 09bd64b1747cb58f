"""Post-local SGD: synchronous at first, local later.

Lin et al., Don't Use Large Mini-Batches, Use Local SGD, arXiv:1808.07217,
github.com/epfml/LocalSGD-Code, commit 3d4811d.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from simulator.algorithms.base import ELASTIC, Needs, Specification, in_one_group, register
from simulator.algorithms.local_sgd import averaging_now_and_then
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group


@register("post-local-sgd")
@dataclass(frozen=True)
class PostLocalSGD:
    """Average the models after every step at first, and every `period` steps later.

    ::

        w_i = w_i + update(grad(w_i, batch_i))          every step
        w_i = all_reduce(w_i) / N                       every step until `switch`,
                                                        then every `period` steps

    Momentum stays with the worker, so that the switch is not neutral.

    Parameters
    ----------
    period
        Local steps between two averagings after the switch (H).
    switch
        Steps that are averaged at once; the paper's runs switch when the rate first falls,
        half-way through.
    """

    period: Annotated[int, Ge(1)] = 8
    switch: Annotated[int, Ge(0)] = 100

    needs: ClassVar[Needs] = Needs(failures=ELASTIC)
    paper: ClassVar[str] = "arXiv:1808.07217"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        return averaging_now_and_then(worker, rank, world, self.agrees_after)

    def agrees_after(self, steps: int) -> bool:
        """Do all replicas hold the same after *steps* steps?"""
        return steps <= self.switch or steps % self.period == 0
