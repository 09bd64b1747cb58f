"""Stragglers that are slow from beginning to end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Le

from simulator.cluster.layout import Layout, Some
from simulator.cluster.stragglers.base import STRAGGLERS, Rng, Slowdown
from simulator.errors import InvalidInput


@STRAGGLERS.register("slow-workers")
@dataclass(frozen=True, kw_only=True)
class SlowWorkers(Some):
    """Some workers, hosts or racks compute `factor` times as long, in every step."""

    factor: Annotated[float, Gt(0), Le(1e6)] = 2.0

    def bind(self, layout: Layout, rng: Rng) -> Slowdown:
        factors = np.ones(layout.workers)
        factors[self.chosen(layout, rng())] = self.factor
        by_rank: list[float] = factors.tolist()
        return Slowdown(factor=lambda worker, step: by_rank[worker])


@STRAGGLERS.register("slow-links")
@dataclass(frozen=True, kw_only=True)
class SlowLinks(Some):
    """Some hosts are linked to the network by `factor` times the bandwidth.

    It concerns every link of the hosts to switches and other hosts.  Links that change
    in the course of a run, or lie between switches, are `network.links`.
    """

    factor: Annotated[float, Gt(0), Le(1)] = 0.1
    of: Literal["hosts", "racks"] = "hosts"

    def check_on(self, layout: Layout) -> None:
        """Refuse what is not there, and a choice of single workers."""
        if self.workers is not None:
            raise InvalidInput("links belong to hosts; choose by hosts, racks, or count of hosts")
        super().check_on(layout)

    def bind(self, layout: Layout, rng: Rng) -> Slowdown:
        del layout, rng
        return Slowdown()

    def slow_hosts(self, layout: Layout, rng: np.random.Generator) -> list[str]:
        """Nodes of the hosts that it concerns."""
        ranks = self.chosen(layout, rng)
        return list(dict.fromkeys(layout.host_nodes[layout.hosts[rank]] for rank in ranks))
