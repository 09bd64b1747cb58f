"""EASGD: workers are tied to a centre by a spring.

Zhang, Choromanska, LeCun, Deep learning with Elastic Averaging SGD, arXiv:1412.6651; the
loop as in github.com/sixin-zh/mpiT, commit c359666, `asyncsgd/optim-eamsgd.lua`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le

from simulator.algorithms.base import ELASTIC, Needs, Specification, register
from simulator.algorithms.pieces.springs import elastic
from simulator.cluster import Cluster
from simulator.cluster.accounting import Process


@register("easgd")
@dataclass(frozen=True)
class EASGD:
    """Every few steps a worker and the centre on the server move towards each other.

    ::

        every tau steps:  pull the centre c;  e = alpha * (w_i - c)
                          push e, while the step computes:  c = c + e
        every step:       w_i = w_i - rate * grad(w_i, batch_i)     (- e)

    The centre is what is evaluated.

    Parameters
    ----------
    period
        Steps between two exchanges (tau).
    elasticity
        alpha; by default 0.9 / N.
    """

    period: Annotated[int, Ge(1)] = 4
    elasticity: Annotated[float, Ge(0), Le(2)] | None = None

    needs: ClassVar[Needs] = Needs(
        lock_step=False, servers=1, optimizer=frozenset({"weight_decay"}), failures=ELASTIC
    )
    paper: ClassVar[str] = "arXiv:1412.6651"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return elastic(cluster, self.period, self.elasticity, momentum=0.0)
