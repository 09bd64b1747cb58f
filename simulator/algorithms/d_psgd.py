"""D-PSGD: every step mixes the models of fixed neighbours.

Lian et al., Can Decentralized Algorithms Outperform Centralized Algorithms?, NIPS 2017,
arXiv:1705.09056, in its standard form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from simulator.algorithms.base import Needs, Specification, register
from simulator.algorithms.pieces.graphs import Neighbourhood, neighbours
from simulator.algorithms.pieces.mixing import mix, tell
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.engine import Together
from simulator.network import Mail


@register("d-psgd")
@dataclass(frozen=True)
class DPSGD:
    """Send the model to the neighbours, compute, and mix in what the neighbours sent.

    ::

        overlapped:  send w_i;  d_i = update(grad(w_i, batch_i))      meanwhile
                     w_i = mean of own and neighbours' w + d_i
        after:       y_i = w_i + update(grad(w_i, batch_i));  send y_i
                     w_i = mean of own and neighbours' y

    Nobody waits for anyone but its neighbours, so a delay spreads one hop per step.  Mixing after
    the step a worker also waits until its own model has been sent.

    Parameters
    ----------
    graph
        Who is whose neighbour; all weigh the same.
    mixing
        Under the computation (`overlapped`), or `after` it.
    """

    graph: Neighbourhood = "ring"
    mixing: Literal["overlapped", "after"] = "overlapped"

    needs: ClassVar[Needs] = Needs(fixed="neighbours wait for each other's models")
    paper: ClassVar[str] = "arXiv:1705.09056"
    specification: ClassVar[Specification] = "reconstruction"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        mail, n = cluster.mail(), len(cluster.workers)
        for worker in cluster.workers:
            yield self.replica(worker, mail, neighbours(self.graph, worker.rank, n))

    def replica(self, worker: Worker, mail: Mail, others: Sequence[int]) -> Process:
        params, state = worker.start()
        for step in worker.steps():
            if self.mixing == "overlapped":
                tell(mail, worker.rank, others, params)
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            change, state = worker.update(params, grad, state)
            if self.mixing == "overlapped":
                mixed = yield from mix(mail, worker.rank, others, params)
                params = worker.apply(mixed, change)
            else:
                moved = worker.apply(params, change)
                sent = tell(mail, worker.rank, others, moved)
                params = yield from mix(mail, worker.rank, others, moved)
                yield Together(worker.cluster.env, "own messages", sent, list)
            worker.finish_step(step, params, loss)
