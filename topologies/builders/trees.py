"""Trees of switches with the hosts at their leaves."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Self

from annotated_types import Ge, Gt, Le, MultipleOf

from simulator.errors import TopologyError
from topologies.attributes import LinkSpec
from topologies.builders.hosts import (
    MAX_LINKS,
    NIC,
    PCIE,
    TOPOLOGIES,
    EqualHosts,
    GpusPerHost,
    HostCount,
    Hosts,
    add_host,
    add_link,
    empty,
    impossible,
)

if TYPE_CHECKING:
    import networkx as nx

MAX_K = 72


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
        graph = empty(self)
        graph.add_node("switch0", kind="switch", level=0)
        for index in range(self.hosts):
            add_host(graph, index, "switch0", self.host_link, self.gpus_per_host, self.intra_host)
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

    hosts: HostCount = 8
    hosts_per_leaf: Annotated[int, Ge(1)] = 4
    oversubscription: Annotated[float, Gt(0)] = 1.0
    host_link: LinkSpec = NIC
    intra_host: LinkSpec = PCIE

    @property
    def fabric_links(self) -> int:
        return self.hosts + -(-self.hosts // self.hosts_per_leaf)

    def build(self) -> nx.Graph[str]:
        graph = empty(self)
        uplink = self.host_link.bandwidth * self.hosts_per_leaf / self.oversubscription
        graph.add_node("core0", kind="switch", level=1)
        for index in range(self.hosts):
            leaf = f"leaf{index // self.hosts_per_leaf}"
            if leaf not in graph:
                graph.add_node(leaf, kind="switch", level=0)
                add_link(graph, "core0", leaf, LinkSpec(uplink, self.host_link.latency))
            add_host(graph, index, leaf, self.host_link, self.gpus_per_host, self.intra_host)
        return graph


@TOPOLOGIES.register("leaf-spine")
@dataclass(frozen=True)
class LeafSpine(Hosts):
    """Racks of hosts under leaf switches, each of which is linked to every spine switch.

    Without `spine_link`, the uplinks of a leaf carry `hosts_per_leaf / oversubscription`
    NICs' worth of bandwidth together and have the latency of a host link; without
    `spines`, there are so many that an uplink is as fast as a NIC (a folded Clos).

    >>> graph = LeafSpine(hosts=16, hosts_per_leaf=4, oversubscription=2).build()
    >>> graph.edges["leaf3", "spine1"]["bandwidth"], "spine2" in graph
    (10000000000.0, False)
    """

    hosts: HostCount = 16
    hosts_per_leaf: Annotated[int, Ge(1)] = 4
    spines: Annotated[int, Ge(1)] | None = None
    oversubscription: Annotated[float, Gt(0)] = 1.0
    host_link: LinkSpec = NIC
    spine_link: LinkSpec | None = None
    intra_host: LinkSpec = PCIE

    @property
    def leaves(self) -> int:
        """Number of leaf switches; the last one may have fewer hosts."""
        return -(-self.hosts // self.hosts_per_leaf)

    @property
    def number_of_spines(self) -> int:
        """`spines`, or as many as NICs' worth of bandwidth leave a leaf."""
        wanted = min(self.hosts_per_leaf / self.oversubscription, MAX_LINKS)
        return self.spines or max(1, int(wanted + 0.5))

    @property
    def uplink(self) -> LinkSpec:
        """The link between a leaf and a spine."""
        together = self.host_link.bandwidth * self.hosts_per_leaf / self.oversubscription
        return self.spine_link or LinkSpec(together / self.number_of_spines, self.host_link.latency)

    @property
    def fabric_links(self) -> int:
        return self.hosts + self.leaves * self.number_of_spines

    def build(self) -> nx.Graph[str]:
        graph = empty(self)
        spines = [f"spine{number}" for number in range(self.number_of_spines)]
        for index in range(self.hosts):
            leaf = f"leaf{index // self.hosts_per_leaf}"
            # Leaves come before spines, so that a server hangs beside hosts, not on a spine.
            graph.add_node(leaf, kind="switch", level=0)
            add_host(graph, index, leaf, self.host_link, self.gpus_per_host, self.intra_host)
        graph.add_nodes_from(spines, kind="switch", level=1)
        for number in range(self.leaves):
            for spine in spines:
                add_link(graph, f"leaf{number}", spine, self.uplink)
        return graph


@TOPOLOGIES.register("fat-tree")
@dataclass(frozen=True)
class FatTree(EqualHosts):
    """k-ary fat tree (Al-Fares et al. 2008): k pods of switches with k ports, k^3/4 hosts.

    A pod has k/2 edge switches with k/2 hosts each and k/2 aggregation switches;
    aggregation switch j of every pod is linked to core switches j k/2 ... (j+1) k/2 - 1.
    All links are like `host_link`, which gives full bisection bandwidth, unless
    `fabric_link` says what those between switches are.

    >>> graph = FatTree(k=4).build()
    >>> FatTree(k=4).hosts, list(graph.adj["core3"])
    (16, ['pod0.aggregation1', 'pod1.aggregation1', 'pod2.aggregation1', 'pod3.aggregation1'])
    """

    k: Annotated[int, Ge(2), Le(MAX_K), MultipleOf(2)] = 4
    gpus_per_host: GpusPerHost = 4
    host_link: LinkSpec = NIC
    fabric_link: LinkSpec | None = None
    intra_host: LinkSpec = PCIE

    @property
    def hosts(self) -> int:
        return self.k**3 // 4

    @property
    def fabric_links(self) -> int:
        return 3 * self.hosts

    def check(self, workers: int, hosts: int) -> None:
        if self.k % 2 or not 2 <= self.k <= MAX_K:
            raise TopologyError(
                f"k must be even, for half of a switch's ports lead up, and from 2 to {MAX_K}, "
                f"not {self.k}"
            )
        super().check(workers, hosts)

    def with_hosts(self, hosts: int) -> Self:
        sizes = {k**3 // 4: k for k in range(2, MAX_K + 1, 2)}
        if hosts in sizes:
            return replace(self, k=sizes[hosts])
        raise impossible(
            "a k-ary fat tree has k^3/4 hosts",
            ((size, f"k={k}") for size, k in sizes.items()),
            hosts,
        )

    def build(self) -> nx.Graph[str]:
        graph, half = empty(self), self.k // 2
        fabric = self.fabric_link or self.host_link
        for index in range(self.hosts):
            pod, edge = index // half**2, index // half % half
            name = f"pod{pod}.edge{edge}"
            graph.add_node(name, kind="switch", level=0)
            add_host(graph, index, name, self.host_link, self.gpus_per_host, self.intra_host)
        for pod in range(self.k):
            for j in range(half):
                graph.add_node(f"pod{pod}.aggregation{j}", kind="switch", level=1)
        for core in range(half**2):
            graph.add_node(f"core{core}", kind="switch", level=2)
        for pod in range(self.k):
            for j in range(half):
                for i in range(half):
                    add_link(graph, f"pod{pod}.edge{i}", f"pod{pod}.aggregation{j}", fabric)
                    add_link(graph, f"pod{pod}.aggregation{j}", f"core{j * half + i}", fabric)
        return graph
