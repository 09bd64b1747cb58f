"""Sketched-SGD: a server finds large coordinates in a sum of sketches.

Ivkin et al., Communication-Efficient Distributed SGD with Sketching, NeurIPS 2019,
arXiv:1903.04488, algorithm 3; github.com/dhroth/sketchedsgd, commit fccb24e.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

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
from simulator.algorithms.pieces.sketching import Accumulator, Selection, Step, selection
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.learning.compressors import Sparse


@register("sketched-sgd")
@dataclass(frozen=True)
class SketchedSGD:
    """Send a sketch to the server; send the exact values that it asks for; get k of them.

    ::

        worker i:  u_i = mu u_i + grad(w, batch_i);  v_i = v_i + u_i;  push sketch(v_i)
        server:    I = the p2 k largest estimates from the mean sketch;  ask for v_i[I]
                   J = the k largest of |sum of v_i[I]|;  send g = their means
        worker i:  w = w - rate * g;  u_i[J] = v_i[J] = 0

    Biases are sent exactly in the second round.

    Parameters
    ----------
    density, k
        Share of the coordinates that is used of a step, or their number in the small model.
    rows, size
        Of the sketch, and its numbers as a share of the gradient's (r c / d).
    candidates
        Coordinates whose exact values are asked for, as a multiple of k (p2).
    sketch_cost, select_cost
        Time per coordinate of the full-size job: to enter it into one row or look it up
        there, and to select.
    """

    density: Density = 0.01
    k: Kept = None
    rows: Annotated[int, Ge(1), Le(100)] = 5
    size: Annotated[float, Gt(0), Le(10)] = 0.4
    candidates: Annotated[int, Ge(1), Le(10_000)] = 4
    sketch_cost: Cost = SKETCHING
    select_cost: Cost = SELECTION

    needs: ClassVar[Needs] = Needs(
        servers=1,
        optimizer=EVERYTHING - {"nesterov"},
        fixed="what it has not sent yet would be lost",
        restarts=False,
    )
    paper: ClassVar[str] = "arXiv:1903.04488"
    specification: ClassVar[Specification] = "verified from code"

    def check_model(self, parameters: int) -> None:
        """Refuse to use more than there is."""
        check_kept(self.k, parameters)

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        chosen = selection(cluster, self.rows, self.size, self.k, self.density, self.candidates)
        lookup = self.rows * self.sketch_cost + self.select_cost
        server = SketchServer(cluster, chosen, lookup * cluster.parameters)
        for worker in cluster.workers:
            yield self.replica(worker, server, chosen)

    def replica(self, worker: Worker, server: SketchServer, chosen: Selection) -> Process:
        params, _ = worker.start()
        own, parameters = Accumulator(worker), worker.cluster.parameters
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            own.add(grad, params)
            yield worker.spend(self.rows * self.sketch_cost * parameters)
            server.asking.submit(worker, step, own.waiting, chosen.table_nbytes)
            yield server.asking.news(worker, step)
            server.giving.submit(worker, step, own.waiting, chosen.asked_nbytes)
            _, found = yield server.giving.news(worker, step)
            own.forget(found.sums.indices, chosen.vectors)
            params = worker.apply(params, found.change)
            worker.finish_step(step, params, loss)


class SketchServer:
    """The two rounds of a step at the server, which keeps no model.

    Parameters
    ----------
    seconds
        To look all coordinates up in the sum of sketches, and to select.

    Attributes
    ----------
    asking, giving
        Sketches are submitted to the first, exact values to the second.
    """

    def __init__(self, cluster: Cluster, chosen: Selection, seconds: float):
        node, wanted = cluster.server_nodes[0], len(cluster.workers)
        self._rate, self._chosen = cluster.job.optimizer.rate, chosen
        self._candidates: Sparse
        self._step = 0
        self.asking = cluster.rounds(node, self._ask, wanted, 0.0, seconds)
        self.giving = cluster.rounds(node, self._give, wanted, chosen.kept_nbytes)

    def _ask(self, waiting: Sequence[Params]) -> None:
        self._candidates = self._chosen.candidates(waiting)

    def _give(self, waiting: Sequence[Params]) -> Step:
        self._step += 1
        return self._chosen.exact(self._candidates, self._rate(self._step - 1), waiting)
