"""OSGP: stochastic gradient push whose messages travel under the next computation.

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


@register("osgp")
@dataclass(frozen=True)
class OSGP:
    """Give a part away, compute with the rest, and add what has come in the meantime.

    ::

        send p x_i and p o_i to the out-peers, keep as much;   p = 1 / (peers + 1)
        x_i = x_i + update(grad(x_i / o_i, batch_i))           while messages travel
        x_i = x_i + sum of received;  o_i likewise

    While a message is under way the weight o is less than 1, so a step moves the model
    x / o further.

    Parameters
    ----------
    graph
        Peers of successive rounds are 1, 2, 4, ... ranks ahead (`forward`), or ahead and
        behind in turn (`both`).
    peers
        How many of them in a round.
    patience
        Steps for which a message that is late is not waited for (synch_freq).
    """

    graph: Literal["both", "forward"] = "both"
    peers: Annotated[int, Ge(1)] = 1
    patience: Annotated[int, Ge(0)] = 0

    needs: ClassVar[Needs] = Needs(
        fixed="what it holds of the others' models would be lost", timed=True
    )
    paper: ClassVar[str] = "arXiv:1811.10792"
    specification: ClassVar[Specification] = "verified from code"

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        peers = Peers(cluster.mail(), len(cluster.workers), self.peers, self.graph == "both")
        for worker in cluster.workers:
            yield self.replica(worker, peers)

    def replica(self, worker: Worker, peers: Peers) -> Process:
        params, state = worker.start()
        mass, gifts, waited = Mass(params, 1.0), None, 0
        for step in worker.steps():
            if gifts is None:
                (mass, gifts), waited = peers.give(worker.rank, mass), 0
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(mass.model, batch)
            change, state = worker.update(mass.model, grad, state)
            mass = Mass(mass.numerator + change, mass.weight)
            if waited >= self.patience or all(gift.processed for gift in gifts):
                mass, gifts = (yield from taken(mass, gifts)), None
            waited += 1
            worker.finish_step(step, mass.model, loss, weight=mass.weight)
        if gifts is not None:
            mass = yield from taken(mass, gifts)
        if self.patience:
            mass = yield from peers.go_on(worker.rank, mass)
        worker.publish(mass.model, mass.weight)
