"""Builders: settings that give a networkx graph with units in its attributes.

Every builder is a frozen dataclass with `build()`, which makes the graph, and
`with_hosts(n)`, the same cluster with n hosts.  Hosts have `gpus_per_host` workers
each, linked to the host node by `intra_host` and sharing its `host_link` (the NIC);
with `gpus_per_host: 0` the host itself is the worker.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Protocol, Self

from annotated_types import Ge, Gt, Le

from simulator.registry import Registry
from simulator.units import BitsPerSecond, Seconds

if TYPE_CHECKING:
    import networkx as nx


class Topology(Protocol):
    """What a scenario's `topology` can do."""

    @property
    def hosts(self) -> int: ...

    def build(self) -> nx.Graph[str]: ...

    def with_hosts(self, hosts: int) -> Self: ...

    @property
    def workers(self) -> int: ...


TOPOLOGIES: Registry[Topology] = Registry("topology")


@dataclass(frozen=True)
class LinkSpec:
    """Bandwidth (bit/s, in each direction) and latency (s) of one class of links."""

    bandwidth: BitsPerSecond
    latency: Seconds


MAX_HOSTS, MAX_GPUS = 100_000, 64
NIC = LinkSpec(bandwidth=10e9, latency=10e-6)
PCIE = LinkSpec(bandwidth=100e9, latency=5e-6)


def _add_host(
    graph: nx.Graph[str], index: int, switch: str, nic: LinkSpec, gpus: int, inside: LinkSpec
) -> None:
    host = f"host{index}"
    graph.add_node(host, kind="host")
    graph.add_edge(switch, host, bandwidth=nic.bandwidth, latency=nic.latency)
    for gpu in range(gpus):
        graph.add_node(f"{host}.gpu{gpu}", kind="worker")
        graph.add_edge(host, f"{host}.gpu{gpu}", bandwidth=inside.bandwidth, latency=inside.latency)


@dataclass(frozen=True)
class Hosts:
    """Equal hosts with the same number of GPUs: what all builders of such clusters share."""

    hosts: Annotated[int, Ge(1), Le(MAX_HOSTS)] = 2
    gpus_per_host: Annotated[int, Ge(0), Le(MAX_GPUS)] = 4

    @property
    def workers(self) -> int:
        return self.hosts * max(1, self.gpus_per_host)

    def with_hosts(self, hosts: int) -> Self:
        return replace(self, hosts=hosts)


@TOPOLOGIES.register("star")
@dataclass(frozen=True)
class Star(Hosts):
    """Hosts around one non-blocking switch.

    >>> graph = Star(hosts=2, gpus_per_host=4).build()
    >>> len(graph), [n for n, k in graph.nodes(data="kind") if k == "host"]
    (11, ['host0', 'host1'])
    """

    host_link: LinkSpec = NIC
    intra_host: LinkSpec = PCIE

    def build(self) -> nx.Graph[str]:
        import networkx as nx

        graph: nx.Graph[str] = nx.Graph()
        graph.add_node("switch0", kind="switch")
        for index in range(self.hosts):
            _add_host(graph, index, "switch0", self.host_link, self.gpus_per_host, self.intra_host)
        return graph


@TOPOLOGIES.register("two-level")
@dataclass(frozen=True)
class TwoLevel(Hosts):
    """Racks of hosts under leaf switches, which one core switch connects.

    A leaf's link to the core carries `hosts_per_leaf / oversubscription` NICs' worth of
    bandwidth and has the latency of a host link.

    >>> graph = TwoLevel(hosts=8, hosts_per_leaf=4, oversubscription=4).build()
    >>> graph.edges["core0", "leaf1"]["bandwidth"]
    10000000000.0
    """

    hosts: Annotated[int, Ge(1), Le(MAX_HOSTS)] = 8
    hosts_per_leaf: Annotated[int, Ge(1)] = 4
    oversubscription: Annotated[float, Gt(0)] = 1.0
    host_link: LinkSpec = NIC
    intra_host: LinkSpec = PCIE

    def build(self) -> nx.Graph[str]:
        import networkx as nx

        graph: nx.Graph[str] = nx.Graph()
        uplink = self.host_link.bandwidth * self.hosts_per_leaf / self.oversubscription
        graph.add_node("core0", kind="switch")
        for index in range(self.hosts):
            leaf = f"leaf{index // self.hosts_per_leaf}"
            if leaf not in graph:
                graph.add_node(leaf, kind="switch")
                graph.add_edge("core0", leaf, bandwidth=uplink, latency=self.host_link.latency)
            _add_host(graph, index, leaf, self.host_link, self.gpus_per_host, self.intra_host)
        return graph
