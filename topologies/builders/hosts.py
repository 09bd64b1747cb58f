"""What all builders share: equal hosts with GPUs, links, and limits of size.

Every builder is a frozen dataclass with `build()`, which makes the graph, and
`with_hosts(n)`, the same cluster with n hosts.  Hosts have `gpus_per_host` workers
each, linked to the host node by `intra_host` and sharing its `host_link` (the NIC);
with `gpus_per_host: 0` the host itself is the worker.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Protocol, Self

from annotated_types import Ge, Le

from simulator.errors import TopologyError
from simulator.registry import Registry
from topologies.attributes import LinkSpec

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

MAX_HOSTS, MAX_GPUS, MAX_LINKS = 100_000, 64, 2_000_000
NIC = LinkSpec(bandwidth=10e9, latency=10e-6)
PCIE = LinkSpec(bandwidth=100e9, latency=5e-6)

GpusPerHost = Annotated[int, Ge(0), Le(MAX_GPUS)]
HostCount = Annotated[int, Ge(1), Le(MAX_HOSTS)]


class EqualHosts(ABC):
    """Hosts with the same number of GPUs each, in any network."""

    gpus_per_host: int

    @property
    @abstractmethod
    def hosts(self) -> int:
        """Number of hosts, given or following from other parameters."""

    @property
    def workers(self) -> int:
        return self.hosts * max(1, self.gpus_per_host)

    @property
    def fabric_links(self) -> int:
        """Number of links but for those inside the hosts."""
        return self.hosts

    def check(self, workers: int, hosts: int) -> None:
        """Refuse sizes that cannot be.

        Raises
        ------
        TopologyError
            If there is no host, or too many hosts or links to be built.
        """
        del workers, hosts
        if not 1 <= self.hosts <= MAX_HOSTS:
            raise TopologyError(f"makes {self.hosts:,} hosts; there can be 1 to {MAX_HOSTS:,}")
        links = self.fabric_links + self.hosts * self.gpus_per_host
        if links > MAX_LINKS:
            raise TopologyError(
                f"{self.hosts:,} hosts make {links:,} links here, more than the {MAX_LINKS:,} that "
                "can be built; take fewer hosts or GPUs, or a network with fewer links"
            )


@dataclass(frozen=True)
class Hosts(EqualHosts):
    """Any number of equal hosts: what builders of growing clusters share."""

    hosts: HostCount = 2
    gpus_per_host: GpusPerHost = 4

    def with_hosts(self, hosts: int) -> Self:
        made = replace(self, hosts=hosts)
        made.check(made.workers, made.hosts)
        return made


def empty(topology: EqualHosts) -> nx.Graph[str]:
    """A graph to build *topology* in, whose parameters have been checked."""
    import networkx as nx

    topology.check(topology.workers, topology.hosts)
    return nx.Graph()


def add_link(graph: nx.Graph[str], u: str, v: str, link: LinkSpec) -> None:
    """Link two nodes."""
    graph.add_edge(u, v, bandwidth=link.bandwidth, latency=link.latency)


def add_host(
    graph: nx.Graph[str],
    index: int,
    switch: str | None,
    nic: LinkSpec,
    gpus: int,
    inside: LinkSpec,
) -> str:
    """Add host number *index* with its GPUs, on *switch* if there is one; return its name."""
    host = f"host{index}"
    graph.add_node(host, kind="host")
    if switch is not None:
        add_link(graph, switch, host, nic)
    for gpu in range(gpus):
        graph.add_node(f"{host}.gpu{gpu}", kind="worker")
        add_link(graph, host, f"{host}.gpu{gpu}", inside)
    return host


def impossible(rule: str, sizes: Iterable[tuple[int, str]], hosts: int) -> TopologyError:
    """The error for a number of hosts that a fixed-size topology cannot have.

    Parameters
    ----------
    rule
        How many hosts there can be.
    sizes
        Possible numbers of hosts with what makes them; the nearest two are named.
    hosts
        What was asked for.

    >>> print(impossible("a square has n^2 hosts", [(4, "n=2"), (9, "n=3"), (16, "n=4")], 10))
    a square has n^2 hosts: 9 (n=3) or 16 (n=4), not 10
    """
    below: tuple[int, str] | None = None
    above: tuple[int, str] | None = None
    for size, how in sizes:
        if size < hosts and (below is None or size > below[0]):
            below = size, how
        if size > hosts and (above is None or size < above[0]):
            above = size, how
    near = " or ".join(f"{size:,} ({how})" for size, how in filter(None, (below, above)))
    return TopologyError(f"{rule}: {near}, not {hosts:,}")
