"""EAMSGD: elastic averaging SGD with Nesterov momentum.

Zhang, Choromanska, LeCun, Deep learning with Elastic Averaging SGD, arXiv:1412.6651; the
loop as in github.com/sixin-zh/mpiT, commit c359666, `asyncsgd/optim-eamsgd.lua`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

from annotated_types import Ge, Le, Lt

from simulator.algorithms.base import ELASTIC, Needs, Specification, register
from simulator.algorithms.pieces.springs import elastic
from simulator.cluster import Cluster
from simulator.cluster.accounting import Process


@register("eamsgd")
@dataclass(frozen=True)
class EAMSGD:
    """EASGD whose workers have Nesterov momentum.

    ::

        every tau steps:  pull the centre c;  e = alpha * (w_i - c);  push e:  c = c + e
        every step:       v_i = delta * v_i - rate * grad(w_i + delta * v_i, batch_i)
                          w_i = w_i + v_i     (- e)

    The centre is what is evaluated.

    Parameters
    ----------
    period
        Steps between two exchanges (tau).
    elasticity
        alpha; by default 0.9 / N.
    delta
        The momentum; 0 is easgd.
    """

    period: Annotated[int, Ge(1)] = 4
    elasticity: Annotated[float, Ge(0), Le(2)] | None = None
    delta: Annotated[float, Ge(0), Lt(1)] = 0.9

    needs: ClassVar[Needs] = Needs(
        lock_step=False, servers=1, optimizer=frozenset({"weight_decay"}), failures=ELASTIC
    )
    paper: ClassVar[str] = "arXiv:1412.6651"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return elastic(cluster, self.period, self.elasticity, self.delta)
