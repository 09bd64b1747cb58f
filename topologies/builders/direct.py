"""Direct networks: the hosts themselves are the nodes and pass messages on."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, product
from typing import TYPE_CHECKING, Annotated, Self

from annotated_types import Ge, Le

from simulator.errors import TopologyError
from topologies.attributes import LinkSpec
from topologies.builders.hosts import (
    MAX_HOSTS,
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
from topologies.layout import circle, grid

if TYPE_CHECKING:
    import networkx as nx

MAX_DIMENSION = 16


@TOPOLOGIES.register("ring")
@dataclass(frozen=True)
class Ring(Hosts):
    """Hosts in a ring, each linked to the next by `host_link`.

    >>> list(Ring(hosts=4, gpus_per_host=0).build().adj["host0"])
    ['host1', 'host3']
    """

    hosts: HostCount = 8
    host_link: LinkSpec = NIC
    intra_host: LinkSpec = PCIE

    def build(self) -> nx.Graph[str]:
        graph = empty(self)
        hosts = _on_a_circle(graph, self, self.intra_host)
        for index in range(self.hosts):
            if self.hosts > 1:
                add_link(graph, hosts[index], hosts[(index + 1) % self.hosts], self.host_link)
        return graph


@TOPOLOGIES.register("fully-connected")
@dataclass(frozen=True)
class FullyConnected(Hosts):
    """Hosts that are linked to each other in pairs by `host_link`.

    >>> FullyConnected(hosts=5, gpus_per_host=0).build().number_of_edges()
    10
    """

    hosts: HostCount = 8
    host_link: LinkSpec = NIC
    intra_host: LinkSpec = PCIE

    @property
    def fabric_links(self) -> int:
        return self.hosts * (self.hosts - 1) // 2

    def build(self) -> nx.Graph[str]:
        graph = empty(self)
        hosts = _on_a_circle(graph, self, self.intra_host)
        for index, host in enumerate(hosts):
            for other in hosts[index + 1 :]:
                add_link(graph, host, other, self.host_link)
        return graph


@TOPOLOGIES.register("hypercube")
@dataclass(frozen=True)
class Hypercube(EqualHosts):
    """2^dimension hosts, linked where their numbers differ in one binary digit.

    >>> list(Hypercube(dimension=3, gpus_per_host=0).build().adj["host5"])
    ['host1', 'host4', 'host7']
    """

    dimension: Annotated[int, Ge(0), Le(MAX_DIMENSION)] = 3
    gpus_per_host: GpusPerHost = 4
    host_link: LinkSpec = NIC
    intra_host: LinkSpec = PCIE

    @property
    def hosts(self) -> int:
        # Also a dimension that `check` refuses must have a number of hosts.
        return int(2 ** min(max(self.dimension, -1), MAX_DIMENSION + 1))

    @property
    def fabric_links(self) -> int:
        return self.dimension * self.hosts // 2

    def check(self, workers: int, hosts: int) -> None:
        if not 0 <= self.dimension <= MAX_DIMENSION:
            raise TopologyError(f"dimension must be 0 to {MAX_DIMENSION}, not {self.dimension}")
        super().check(workers, hosts)

    def with_hosts(self, hosts: int) -> Self:
        if hosts >= 1 and not hosts & (hosts - 1) and hosts <= 2**MAX_DIMENSION:
            return replace(self, dimension=hosts.bit_length() - 1)
        sizes = ((2**d, f"dimension={d}") for d in range(MAX_DIMENSION + 1))
        raise impossible("a hypercube has 2^dimension hosts", sizes, hosts)

    def build(self) -> nx.Graph[str]:
        graph = empty(self)
        hosts = _on_a_circle(graph, self, self.intra_host)
        for index, host in enumerate(hosts):
            for digit in range(self.dimension):
                if not index >> digit & 1:
                    add_link(graph, host, hosts[index ^ 1 << digit], self.host_link)
        return graph


@TOPOLOGIES.register("torus")
@dataclass(frozen=True)
class Torus(EqualHosts):
    """Hosts in a grid of two or three dimensions whose rows and columns are closed to rings.

    The last coordinate runs fastest: with `dims: [4, 8]`, hosts 0 to 7 are the first row.
    Along a dimension of size 2 there is one link, not two.

    >>> graph = Torus(dims=(3, 4), gpus_per_host=0).build()
    >>> list(graph.adj["host0"])
    ['host4', 'host1', 'host3', 'host8']
    """

    dims: tuple[Annotated[int, Ge(2)], ...] = (4, 4)
    gpus_per_host: GpusPerHost = 4
    host_link: LinkSpec = NIC
    intra_host: LinkSpec = PCIE

    @property
    def hosts(self) -> int:
        return math.prod(self.dims)

    @property
    def fabric_links(self) -> int:
        return sum(self.hosts if size > 2 else self.hosts // 2 for size in self.dims)

    def check(self, workers: int, hosts: int) -> None:
        if len(self.dims) not in (2, 3) or min(self.dims) < 2:
            raise TopologyError(
                "dims must be two or three sizes of at least 2, such as [4, 4] or [4, 4, 4], "
                f"not {list(self.dims)}"
            )
        super().check(workers, hosts)

    def with_hosts(self, hosts: int) -> Self:
        if hosts == self.hosts:
            return self
        if (dims := _near_cube(hosts, len(self.dims))) and hosts <= MAX_HOSTS:
            return replace(self, dims=dims)
        raise impossible(
            f"a {len(self.dims)}-D torus has as many hosts as its sizes of at least 2 multiply to",
            _tori(hosts, len(self.dims)),
            hosts,
        )

    def build(self) -> nx.Graph[str]:
        graph = empty(self)
        gpus, coordinates = self.gpus_per_host, list(product(*map(range, self.dims)))
        for index, place in enumerate(coordinates):
            host = add_host(graph, index, None, self.host_link, gpus, self.intra_host)
            graph.nodes[host]["pos"] = grid(place)
        for index, place in enumerate(coordinates):
            stride = self.hosts
            for size, at in zip(self.dims, place, strict=True):
                stride //= size
                after = index + ((at + 1) % size - at) * stride
                add_link(graph, f"host{index}", f"host{after}", self.host_link)
        return graph


def _near_cube(hosts: int, parts: int) -> tuple[int, ...] | None:
    """*hosts* as a product of sizes of at least 2 that differ least, the largest first.

    >>> _near_cube(24, 2), _near_cube(24, 3), _near_cube(7, 2)
    ((6, 4), (4, 3, 2), None)
    """
    if parts == 1:
        return (hosts,) if hosts >= 2 else None
    found: list[tuple[int, ...]] = []
    size = 2
    while size**parts <= hosts:  # the smallest size is at most the root
        if hosts % size == 0 and (rest := _near_cube(hosts // size, parts - 1)):
            found.append((*rest, size))
        size += 1
    return min((tuple(sorted(f, reverse=True)) for f in found), key=sum, default=None)


def _tori(hosts: int, parts: int) -> Iterator[tuple[int, str]]:
    """The nearest possible sizes below and above *hosts*."""
    start = min(max(hosts, 2**parts - 1), MAX_HOSTS + 1)
    for step in (-1, 1):
        for size in count(start + step, step):
            if not 2**parts <= size <= MAX_HOSTS:
                break
            if dims := _near_cube(size, parts):
                yield size, f"dims={list(dims)}"
                break


def _on_a_circle(graph: nx.Graph[str], topology: EqualHosts, inside: LinkSpec) -> list[str]:
    """Add the hosts of *topology*, which lie on a circle in pictures; return their names."""
    hosts = []
    for index, place in enumerate(circle(topology.hosts)):
        hosts.append(add_host(graph, index, None, NIC, topology.gpus_per_host, inside))
        graph.nodes[hosts[-1]]["pos"] = place
    return hosts
