"""Dragonfly: groups of routers that are linked to each other in pairs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, Self

from annotated_types import Ge

from simulator.errors import TopologyError
from topologies.attributes import LinkSpec
from topologies.builders.hosts import (
    NIC,
    PCIE,
    TOPOLOGIES,
    EqualHosts,
    GpusPerHost,
    add_host,
    add_link,
    empty,
    impossible,
)
from topologies.layout import circle

if TYPE_CHECKING:
    import networkx as nx


@TOPOLOGIES.register("dragonfly")
@dataclass(frozen=True)
class Dragonfly(EqualHosts):
    """Groups of routers (Kim et al. 2008): all linked inside a group, one link between groups.

    A group's links to the other groups, in their order, are dealt out evenly to its
    routers in blocks (Kim's consecutive arrangement); `groups` is the largest possible number,
    routers_per_group x global_links_per_router + 1, unless given.  `local_link` and
    `global_link` are like `host_link` unless given.

    >>> Dragonfly().hosts, len(Dragonfly(gpus_per_host=0).build())
    (72, 108)
    """

    routers_per_group: Annotated[int, Ge(1)] = 4
    hosts_per_router: Annotated[int, Ge(1)] = 2
    global_links_per_router: Annotated[int, Ge(1)] = 2
    groups: Annotated[int, Ge(1)] | None = None
    gpus_per_host: GpusPerHost = 4
    host_link: LinkSpec = NIC
    local_link: LinkSpec | None = None
    global_link: LinkSpec | None = None
    intra_host: LinkSpec = PCIE

    @property
    def most_groups(self) -> int:
        """Groups that a group can reach with one link each, and itself."""
        return self.routers_per_group * self.global_links_per_router + 1

    @property
    def number_of_groups(self) -> int:
        """`groups`, or the largest possible number."""
        return self.most_groups if self.groups is None else self.groups

    @property
    def hosts(self) -> int:
        return self.number_of_groups * self.routers_per_group * self.hosts_per_router

    @property
    def fabric_links(self) -> int:
        groups, routers = self.number_of_groups, self.routers_per_group
        return self.hosts + groups * (groups - 1) // 2 + groups * routers * (routers - 1) // 2

    def check(self, workers: int, hosts: int) -> None:
        if self.number_of_groups > self.most_groups:
            raise TopologyError(
                f"{self.routers_per_group} routers with {self.global_links_per_router} global "
                f"links each join at most {self.most_groups:,} groups, not {self.groups:,}; "
                "raise routers_per_group or global_links_per_router"
            )
        super().check(workers, hosts)

    def with_hosts(self, hosts: int) -> Self:
        per_group = self.routers_per_group * self.hosts_per_router
        if hosts % per_group == 0 and 1 <= hosts // per_group <= self.most_groups:
            made = replace(self, groups=hosts // per_group)
            made.check(made.workers, made.hosts)
            return made
        near = {min(max(g, 1), self.most_groups) for g in (hosts // per_group + d for d in (0, 1))}
        raise impossible(
            f"a dragonfly of groups of {self.routers_per_group} x {self.hosts_per_router} hosts "
            f"has 1 to {self.most_groups:,} groups",
            ((groups * per_group, f"groups={groups}") for groups in sorted(near)),
            hosts,
        )

    def build(self) -> nx.Graph[str]:
        graph, index = empty(self), 0
        groups, routers = self.number_of_groups, self.routers_per_group
        local, remote = self.local_link or self.host_link, self.global_link or self.host_link
        for group, centre in enumerate(circle(groups)):
            # neighbouring groups must not overlap
            radius = 0.35 * min(1.0, 6 / groups)
            names = [f"group{group}.router{router}" for router in range(routers)]
            for name, pos in zip(names, circle(routers, radius, centre), strict=True):
                graph.add_node(name, kind="switch", level=0, pos=pos)
                for _ in range(self.hosts_per_router):
                    add_host(
                        graph, index, name, self.host_link, self.gpus_per_host, self.intra_host
                    )
                    index += 1
            for first, name in enumerate(names):
                for other in names[first + 1 :]:
                    add_link(graph, name, other, local)
        for i, j in combinations(range(groups), 2):
            add_link(graph, self._gateway(i, j), self._gateway(j, i), remote)
        return graph

    def _gateway(self, group: int, other: int) -> str:
        """The router of *group* that is linked to group *other*."""
        number = other if other < group else other - 1  # among the group's global links
        router = number * self.routers_per_group // (self.number_of_groups - 1)
        if self.number_of_groups - 1 < self.routers_per_group:
            router = number  # fewer links than routers: one each, from the first on
        return f"group{group}.router{router}"
