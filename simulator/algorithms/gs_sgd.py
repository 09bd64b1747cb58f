"""gs-SGD: global sketching without a server.

Dai, Diao, Li, Xu, arXiv:2108.06004; only the abstract was available, so this is a
reconstruction: the worker of Sketched-SGD, with the tree of gTop-k in place of the server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from simulator.algorithms.base import EVERYTHING, Needs, Specification, register
from simulator.algorithms.pieces.compression import (
    SELECTION,
    SKETCHING,
    Cost,
    Density,
    Kept,
    check_kept,
)
from simulator.algorithms.pieces.sketching import Accumulator, Selection, selection
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.network import Group


@register("gs-sgd")
@dataclass(frozen=True)
class GSSGD:
    """All-reduce a sketch of the gradient to find large coordinates, then their exact values.

    ::

        u_i = mu u_i + grad(w, batch_i);  v_i = v_i + u_i
        S = all_reduce(sketch(v_i));  I = the p2 k largest estimates from S
        e = all_reduce(v_i[I]);       J = the k largest of |e|
        w = w - rate * e[J] / N;      u_i[J] = v_i[J] = 0

    Biases are sent exactly in the last round.

    Parameters
    ----------
    density, k
        Share of the coordinates that is used of a step, or their number in the small model.
    rows, size
        Of the sketch, and its numbers as a share of the gradient's (r c / d).
    candidates
        Coordinates whose exact values are asked for, as a multiple of k (p2).
    exchange
        How sketches and values are all-reduced.
    second_round
        `exact` as above.  Without it estimates are used as they are, and v is `reset` there,
        or the estimate is taken off (`subtract`).
    sketch_cost, select_cost
        Time per coordinate of the full-size job: to enter it into one row or look it up
        there, and to select.
    """

    density: Density = 0.01
    k: Kept = None
    rows: Annotated[int, Ge(1), Le(100)] = 5
    size: Annotated[float, Gt(0), Le(10)] = 0.4
    candidates: Annotated[int, Ge(1), Le(10_000)] = 4
    exchange: Literal["tree", "recursive-doubling"] = "tree"
    second_round: Literal["exact", "reset", "subtract"] = "exact"
    sketch_cost: Cost = SKETCHING
    select_cost: Cost = SELECTION

    needs: ClassVar[Needs] = Needs(
        optimizer=EVERYTHING - {"nesterov"},
        fixed="what it has not sent yet would be lost",
        restarts=False,
    )
    paper: ClassVar[str] = "arXiv:2108.06004"
    specification: ClassVar[Specification] = "reconstruction"

    def check_model(self, parameters: int) -> None:
        """Refuse to use more than there is."""
        check_kept(self.k, parameters)

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        world = cluster.group(cluster.workers)
        chosen = selection(cluster, self.rows, self.size, self.k, self.density, self.candidates)
        for worker in cluster.workers:
            yield self.replica(worker, world, chosen)

    def replica(self, worker: Worker, world: Group, chosen: Selection) -> Process:
        params, _ = worker.start()
        own, rank, how = Accumulator(worker), worker.rank, self.exchange
        sketching = self.rows * self.sketch_cost * worker.cluster.parameters
        selecting = self.select_cost * worker.cluster.parameters
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            own.add(grad, params)
            rate, exact = worker.rate(step), self.second_round == "exact"
            yield worker.spend(sketching)
            merge = chosen.candidates if exact else partial(chosen.estimated, rate)
            nbytes = chosen.table_nbytes if exact else chosen.only_nbytes
            found = yield world.all_reduce(rank, own.waiting, nbytes, merge, how)
            yield worker.spend(sketching + selecting)
            if exact:
                merge = partial(chosen.exact, found, rate)
                found = yield world.all_reduce(rank, own.waiting, chosen.asked_nbytes, merge, how)
            if self.second_round == "subtract":
                sums = found.sums
                own.take_back(sums.indices, sums.values / world.size, chosen.vectors)
            else:
                own.forget(found.sums.indices, chosen.vectors)
            params = worker.apply(params, found.change)
            worker.finish_step(step, params, loss)
