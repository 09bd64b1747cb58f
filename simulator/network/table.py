"""The network whose collectives cost what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from simulator.engine import Clock, Table
from simulator.errors import DataError
from simulator.network.alpha_beta import AlphaBeta
from simulator.network.collectives import Plan
from simulator.network.fabric import Price
from simulator.network.measured import CostTable, counted_size

if TYPE_CHECKING:
    import networkx as nx


class TableNetwork(AlphaBeta):
    """Network of fidelity ``table``: as ``alpha-beta``, but for the cost of collectives.

    Where a collective was measured its algorithm does not matter, and the rounds of a
    rooted one share its time as they do in the alpha-beta model.

    Parameters
    ----------
    env, graph, messages, routing, overhead
        As for `AlphaBeta`.
    costs
        What was measured.
    """

    def __init__(
        self,
        env: Clock,
        graph: nx.Graph[str],
        messages: Table,
        costs: CostTable,
        routing: str = "d-mod-k",
        overhead: float = 0.0,
    ):
        super().__init__(env, graph, messages, routing, overhead)
        self._costs = costs

    def price(self, plan: Plan, nodes: Sequence[str]) -> Price:
        """Measured cost of *plan* if rank r runs on ``nodes[r]``.

        Raises
        ------
        DataError
            If it was not measured for such a group.
        """
        modelled = super().price(plan, nodes)
        per_host = Counter(self.router.host[node] for node in nodes)
        if plan.ranks == 1:
            return modelled
        sizes = list(dict.fromkeys(per_host.values()))
        if len(sizes) > 1:
            raise DataError(
                f"the {plan.kind} of {plan.ranks} ranks has {min(sizes)} to {max(sizes)} of them "
                "on a host; measured costs are for equal hosts, use network.fidelity: flow"
            )
        seconds = sum(
            self._costs.seconds(
                plan.kind, len(per_host), sizes[0], counted_size(plan.kind, piece, plan.ranks)
            )
            for piece in plan.pieces
        )
        scale = seconds / modelled.seconds if modelled.seconds else 0.0
        per_round = tuple(scale * one for one in modelled.per_round)
        return replace(modelled, seconds=seconds, per_round=per_round)
