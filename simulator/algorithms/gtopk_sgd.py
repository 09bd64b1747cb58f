"""gTop-k SGD: the top k of the top-k's of all workers, through a tree.

Shi et al., A Distributed Synchronous SGD Algorithm with Global Top-k Sparsification for Low
Bandwidth Networks, ICDCS 2019, arXiv:1901.04359; github.com/hclhkbu/gtopkssgd, commit
6f57343, `allreducer.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, NamedTuple

import numpy as np

from simulator.algorithms.base import Needs, Specification, in_one_group, register
from simulator.algorithms.pieces.compression import (
    SELECTION,
    Cost,
    Density,
    Kept,
    Ratio,
    check_kept,
    number_kept,
    sparse_nbytes,
)
from simulator.algorithms.pieces.graphs import powers
from simulator.cluster import Cluster, Worker
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.engine.values import frozen
from simulator.learning.compressors import Sparse, dense, select, tree_top_k
from simulator.network import Group


class Selected(NamedTuple):
    """What the tree gives.

    Attributes
    ----------
    sparse
        Sums of what was sent, of the coordinates that are left.
    mean
        The same as a dense vector, divided by the number of workers.
    """

    sparse: Sparse
    mean: Params


@register("gtopk-sgd")
@dataclass(frozen=True)
class GTopKSGD:
    """Merge the workers' k largest coordinates pair by pair, keeping k; then send them to all.

    ::

        q = g_i + e_i;  V_i = the k largest of |q|;  e_i = q without them
        tree:  every level adds two V's and keeps the k largest
        w = w + update(result / N)
        e_i gets back what of V_i is not in the result

    The result is not the top k of the sum: what one branch of the tree drops while another
    keeps it is lost.

    Parameters
    ----------
    density, k
        Share of the coordinates that is sent, or their number in the small model.
    select_cost
        Time to select, per coordinate of the full-size job, and of what is merged.
    wire_ratio
        Bytes of a message per byte of a dense one, if not 2 k / d.
    """

    density: Density = 0.01
    k: Kept = None
    select_cost: Cost = SELECTION
    wire_ratio: Ratio = None

    needs: ClassVar[Needs] = Needs(fixed="what it has not sent yet would be lost", restarts=False)
    paper: ClassVar[str] = "arXiv:1901.04359"
    specification: ClassVar[Specification] = "verified from code"

    def check_model(self, parameters: int) -> None:
        """Refuse to send more than there is."""
        check_kept(self.k, parameters)

    def processes(self, cluster: Cluster) -> Iterator[Process]:
        return in_one_group(cluster, self.replica)

    def replica(self, worker: Worker, rank: int, world: Group) -> Process:
        cluster = worker.cluster
        params, state = worker.start()
        residual = np.zeros_like(params)
        kept = number_kept(self.k, self.density, params.size)
        nbytes = sparse_nbytes(cluster, kept, self.wire_ratio)
        merged = 2 * kept / params.size * len(powers(world.size))  # dense gradients' worth
        merge = partial(merged_in_tree, kept, params.size, world.size)
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, grad = yield worker.compute_gradient(params, batch)
            yield worker.spend(self.select_cost * cluster.parameters * (1 + merged))
            wanted = residual + grad
            sent = select(wanted, kept)
            result = yield world.all_reduce(rank, sent, nbytes, merge, algorithm="tree")
            residual = wanted.copy()
            residual[np.intersect1d(sent.indices, result.sparse.indices, assume_unique=True)] = 0
            change, state = worker.update(params, result.mean, state)
            params = worker.apply(params, change)
            worker.finish_step(step, params, loss)


def merged_in_tree(kept: int, size: int, workers: int, parts: Sequence[Sparse]) -> Selected:
    """What all ranks get."""
    sparse = tree_top_k(parts, kept)
    return Selected(sparse, frozen(dense(sparse, size, np.float64) / workers))
