"""Collective operations: functions of ranks and bytes that give a `Plan`.

`COLLECTIVES` names them by operation and algorithm; each takes the ranks of every host
and the bytes of the payload.  What the payload is depends on the operation: for
all-reduce, reduce, broadcast, reduce-scatter and all-to-all the whole of what a rank has,
for all-gather, gather and scatter one rank's part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from simulator.network.collectives.exchange import (
    pairwise_all_to_all,
    pairwise_reduce_scatter,
    star_gather,
    star_scatter,
    tree_gather,
    tree_scatter,
)
from simulator.network.collectives.halving import (
    doubling_all_gather,
    halving_doubling_all_reduce,
    recursive_doubling_all_reduce,
)
from simulator.network.collectives.plan import (
    Move,
    Pairs,
    Plan,
    Round,
    Transfers,
    in_sequence,
    uniform,
)
from simulator.network.collectives.rings import (
    ring_all_gather,
    ring_all_reduce,
    ring_reduce_scatter,
)
from simulator.network.collectives.trees import (
    double_tree_all_reduce,
    star_broadcast,
    star_reduce,
    tree_all_reduce,
    tree_broadcast,
    tree_reduce,
)
from simulator.network.collectives.two_level import two_level_all_reduce

Hosts = Sequence[Sequence[int]]
Collective = Callable[[Hosts, float], Plan]


def _flat(make: Callable[[int, float], Plan]) -> Collective:
    """A collective that does not look at who shares a host."""
    return _of_hosts(lambda hosts, nbytes: make(sum(map(len, hosts)), nbytes))


def _of_hosts(make: Collective) -> Collective:
    """A collective that notes what it was asked for."""
    return lambda hosts, nbytes: replace(make(hosts, nbytes), pieces=(nbytes,))


COLLECTIVES: dict[str, dict[str, Collective]] = {
    "all-reduce": {
        "ring": _flat(ring_all_reduce),
        "recursive-doubling": _flat(recursive_doubling_all_reduce),
        "halving-doubling": _flat(halving_doubling_all_reduce),
        "tree": _flat(tree_all_reduce),
        "double-tree": _flat(double_tree_all_reduce),
        "two-level": _of_hosts(two_level_all_reduce),
    },
    "reduce": {"star": _flat(star_reduce), "tree": _flat(tree_reduce)},
    "broadcast": {"star": _flat(star_broadcast), "tree": _flat(tree_broadcast)},
    "all-gather": {"ring": _flat(ring_all_gather), "doubling": _flat(doubling_all_gather)},
    "reduce-scatter": {
        "ring": _flat(ring_reduce_scatter),
        "pairwise": _flat(pairwise_reduce_scatter),
    },
    "gather": {"star": _flat(star_gather), "tree": _flat(tree_gather)},
    "scatter": {"star": _flat(star_scatter), "tree": _flat(tree_scatter)},
    "all-to-all": {"pairwise": _flat(pairwise_all_to_all)},
}

__all__ = [
    "COLLECTIVES",
    "Collective",
    "Hosts",
    "Move",
    "Pairs",
    "Plan",
    "Round",
    "Transfers",
    "double_tree_all_reduce",
    "doubling_all_gather",
    "halving_doubling_all_reduce",
    "in_sequence",
    "pairwise_all_to_all",
    "pairwise_reduce_scatter",
    "recursive_doubling_all_reduce",
    "ring_all_gather",
    "ring_all_reduce",
    "ring_reduce_scatter",
    "star_broadcast",
    "star_gather",
    "star_reduce",
    "star_scatter",
    "tree_all_reduce",
    "tree_broadcast",
    "tree_gather",
    "tree_reduce",
    "tree_scatter",
    "two_level_all_reduce",
    "uniform",
]
