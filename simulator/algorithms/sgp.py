"""SGP: stochastic gradient push, gossip by push-sum on a directed graph.

Assran et al., Stochastic Gradient Push for Distributed Deep Learning, arXiv:1811.10792,
github.com/facebookresearch/stochastic_gradient_push, commit e682064.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from simulator.algorithms.base import Needs, Specification, register
from simulator.algorithms.pieces.push_sum import Mass, Peers, taken
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process


@register("sgp")
@dataclass(frozen=True)
class SGP:
    """After every step give a part of model and weight to a peer; wait for those who give.

    ::

        x_i = x_i + update(grad(x_i / o_i, batch_i))
        send p x_i and p o_i to every out-peer of the step, keep as much;   p = 1 / (peers + 1)
        x_i = kept + sum of received;  o_i likewise

    x / o is the model.  Models and weights of all together are conserved.

    Parameters
    ----------
    graph
        Peers of successive steps are 1, 2, 4, ... ranks ahead (`forward`), or ahead and
        behind in turn (`both`).
    peers
        How many of them in a step.
    """

    graph: Literal["both", "forward"] = "both"
    peers: Annotated[int, Ge(1)] = 1

    needs: ClassVar[Needs] = Needs(fixed="what it holds of the others' models would be lost")
    paper: ClassVar[str] = "arXiv:1811.10792"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        peers = Peers(cluster.mail(), len(cluster.workers), self.peers, self.graph == "both")
        for worker in cluster.workers:
            yield self.replica(worker, peers)

    def replica(self, worker: Worker, peers: Peers) -> Process:
        params, state = worker.start()
        mass = Mass(params, 1.0)
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(mass.model, batch)
            change, state = worker.update(mass.model, grad, state)
            mass = Mass(mass.numerator + change, mass.weight)
            mass = yield from taken(*peers.give(worker.rank, mass))
            worker.finish_step(step, mass.model, loss, weight=mass.weight)
