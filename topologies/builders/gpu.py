"""Clusters whose GPUs have NICs of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Gt

from topologies.attributes import LinkSpec
from topologies.builders.hosts import (
    NIC,
    PCIE,
    TOPOLOGIES,
    GpusPerHost,
    HostCount,
    Hosts,
    add_host,
    add_link,
    empty,
)

if TYPE_CHECKING:
    import networkx as nx


@TOPOLOGIES.register("rail-optimised")
@dataclass(frozen=True)
class RailOptimised(Hosts):
    """GPUs with a NIC each: GPU i of every host is linked to rail switch i.

    Every rail is linked to every one of `spines` spine switches; without `spine_link`,
    the uplinks of a rail carry `hosts / oversubscription` NICs' worth of bandwidth
    together.  With `spines: 0` a message changes rails inside a host (rail-only).  Hosts
    without GPUs have one NIC on the only rail.

    >>> graph = RailOptimised(hosts=2, gpus_per_host=2).build()
    >>> list(graph.adj["host1.gpu1"]), list(graph.adj["spine0"])
    (['host1', 'rail1'], ['rail0', 'rail1'])
    """

    hosts: HostCount = 4
    gpus_per_host: GpusPerHost = 8
    spines: Annotated[int, Ge(0)] = 1
    oversubscription: Annotated[float, Gt(0)] = 1.0
    host_link: LinkSpec = NIC
    spine_link: LinkSpec | None = None
    intra_host: LinkSpec = PCIE

    @property
    def rails(self) -> int:
        """Number of rail switches."""
        return max(1, self.gpus_per_host)

    @property
    def fabric_links(self) -> int:
        return self.rails * (self.hosts + self.spines)

    def build(self) -> nx.Graph[str]:
        graph = empty(self)
        rails = [f"rail{number}" for number in range(self.rails)]
        graph.add_nodes_from(rails, kind="switch", level=0)
        own = None if self.gpus_per_host else rails[0]
        for index in range(self.hosts):
            host = add_host(graph, index, own, self.host_link, self.gpus_per_host, self.intra_host)
            for gpu in range(self.gpus_per_host):
                add_link(graph, f"{host}.gpu{gpu}", rails[gpu], self.host_link)
        if self.spines:
            together = self.host_link.bandwidth * self.hosts / self.oversubscription
            uplink = self.spine_link or LinkSpec(together / self.spines, self.host_link.latency)
            spines = [f"spine{number}" for number in range(self.spines)]
            graph.add_nodes_from(spines, kind="switch", level=1)
            for rail in rails:
                for spine in spines:
                    add_link(graph, rail, spine, uplink)
        return graph
