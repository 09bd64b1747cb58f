"""K-AVG: K-step averaging SGD.

Zhou and Cong, On the convergence properties of a K-step averaging stochastic gradient
descent algorithm for nonconvex optimization, IJCAI 2018, arXiv:1708.01012.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge

from simulator.algorithms.base import (
    ELASTIC,
    NO_MOMENTUM,
    Needs,
    Specification,
    in_one_group,
    register,
)
from simulator.algorithms.local_sgd import averaging_now_and_then
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group


@register("k-avg")
@dataclass(frozen=True)
class KAvg:
    """Average the models every `k` steps of plain SGD.

    ::

        w_i = w_i - rate * grad(w_i, batch_i)           every step
        w_i = all_reduce(w_i) / N                       every K steps

    Local SGD without momentum; K = 1 is hard-synchronous SGD.

    Parameters
    ----------
    k
        Steps between two averagings (K).
    """

    k: Annotated[int, Ge(1)] = 8

    needs: ClassVar[Needs] = Needs(failures=ELASTIC, optimizer=NO_MOMENTUM)
    paper: ClassVar[str] = "arXiv:1708.01012"
    specification: ClassVar[Specification] = "from the paper"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        return averaging_now_and_then(worker, rank, world, self.agrees_after)

    def agrees_after(self, steps: int) -> bool:
        """Do all replicas hold the same after *steps* steps?"""
        return steps % self.k == 0
