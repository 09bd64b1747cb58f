"""Clusters in several regions, far from each other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Literal, Self

from annotated_types import Ge

from topologies.attributes import LinkSpec
from topologies.builders.hosts import (
    MAX_HOSTS,
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

WAN = LinkSpec(bandwidth=1e9, latency=30e-3)


@TOPOLOGIES.register("multi-region")
@dataclass(frozen=True)
class MultiRegion(EqualHosts):
    """Regions with one star of hosts each, whose routers are joined by long thin links.

    `mesh: full` links the routers in pairs, `mesh: ring` each to the next.

    >>> graph = MultiRegion(regions=3, hosts_per_region=2, gpus_per_host=0).build()
    >>> list(graph.adj["region1.router"])
    ['host2', 'host3', 'region0.router', 'region2.router']
    """

    regions: Annotated[int, Ge(1)] = 3
    hosts_per_region: Annotated[int, Ge(1)] = 4
    mesh: Literal["full", "ring"] = "full"
    gpus_per_host: GpusPerHost = 4
    host_link: LinkSpec = NIC
    wan_link: LinkSpec = WAN
    intra_host: LinkSpec = PCIE

    @property
    def hosts(self) -> int:
        return self.regions * self.hosts_per_region

    @property
    def fabric_links(self) -> int:
        pairs = self.regions * (self.regions - 1) // 2
        return self.hosts + (min(pairs, self.regions) if self.mesh == "ring" else pairs)

    def with_hosts(self, hosts: int) -> Self:
        if hosts >= 1 and hosts % self.regions == 0:
            made = replace(self, hosts_per_region=hosts // self.regions)
            made.check(made.workers, made.hosts)
            return made
        fewer = min(hosts, MAX_HOSTS) // self.regions
        sizes = (
            (self.regions * n, f"hosts_per_region={n}")
            for n in (fewer, fewer + 1)
            if 1 <= n * self.regions <= MAX_HOSTS
        )
        rule = f"{self.regions} equal regions have a multiple of {self.regions} hosts"
        raise impossible(rule, sizes, hosts)

    def build(self) -> nx.Graph[str]:
        graph, index = empty(self), 0
        routers = [f"region{number}.router" for number in range(self.regions)]
        radius = 0.35 * min(1.0, 6 / self.regions)
        for router, centre in zip(routers, circle(self.regions), strict=True):
            graph.add_node(router, kind="switch", level=0, pos=centre)
            for pos in circle(self.hosts_per_region, radius, centre):
                host = add_host(
                    graph, index, router, self.host_link, self.gpus_per_host, self.intra_host
                )
                graph.nodes[host]["pos"] = pos
                index += 1
        for number, router in enumerate(routers):
            others = routers[number + 1 :]
            if self.mesh == "ring":  # closed by the first router's link to the last
                others = others[:1] + (others[-1:] if number == 0 and len(others) > 1 else [])
            for other in others:
                add_link(graph, router, other, self.wan_link)
        return graph
