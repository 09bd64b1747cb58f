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
    rooted one share its time as they do in the alpha-beta model.  One that was not measured
    for a group like this costs what that model says, and `remarks` tell so.

    Parameters
    ----------
    env, graph, messages, routing, overhead
        As for `AlphaBeta`.
    costs
        What was measured.

    Attributes
    ----------
    remarks
        What a user should know of the costs that were taken.
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
        self.remarks: dict[str, None] = {}  # in order

    def price(self, plan: Plan, nodes: Sequence[str]) -> Price:
        """Measured cost of *plan* if rank r runs on ``nodes[r]``, or else the modelled one."""
        modelled = super().price(plan, nodes)
        per_host = Counter(self.router.host[node] for node in nodes)
        if plan.ranks == 1:
            return modelled
        sizes = list(dict.fromkeys(per_host.values()))
        try:
            if len(sizes) > 1:
                raise DataError(
                    f"{min(sizes)} to {max(sizes)} ranks on a host; there are equal ones"
                )
            seconds = sum(
                self._costs.seconds(
                    plan.kind, len(per_host), sizes[0], counted_size(plan.kind, piece, plan.ranks)
                )
                for piece in plan.pieces
            )
        except DataError as error:
            text = (
                f"{plan.kind} of {plan.ranks} ranks costs what the alpha-beta model says: {error}"
            )
            self.remarks.setdefault(text)
            return modelled
        scale = seconds / modelled.seconds if modelled.seconds else 0.0
        per_round = tuple(scale * one for one in modelled.per_round)
        return replace(modelled, seconds=seconds, per_round=per_round)
