"""Clusters from files."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Self

from simulator.errors import TopologyError, escaped, printable
from simulator.units import BitsPerSecond, Seconds
from topologies.attributes import LinkSpec, nodes_of_kind, worker_nodes
from topologies.builders.hosts import MAX_LINKS, PCIE, TOPOLOGIES, GpusPerHost, add_link

if TYPE_CHECKING:
    import networkx as nx


@TOPOLOGIES.register("file")
@dataclass(frozen=True)
class Imported:
    """A cluster from a file: JSON, GraphML, CSV, Slurm, ASTRA-sim, SimGrid or nvidia-smi.

    `bandwidth` and `latency` are those of links of which the file says nothing.  With
    `gpus_per_host`, every host of a file without GPUs gets so many, linked by `intra_host`.
    """

    path: str
    bandwidth: BitsPerSecond | None = None
    latency: Seconds | None = None
    gpus_per_host: GpusPerHost = 0
    intra_host: LinkSpec = PCIE
    folder: Path = field(default=Path(), compare=False, metadata={"internal": True})

    @property
    def hosts(self) -> int:
        return self._size[0]

    @property
    def workers(self) -> int:
        return self._size[1]

    @cached_property
    def _size(self) -> tuple[int, int]:
        """Numbers of hosts and workers; asked for often, while the graph is built once a run."""
        graph = self.build()
        workers = len(worker_nodes(graph))
        return len(nodes_of_kind(graph, "host")) or workers, workers

    def check(self, workers: int, hosts: int) -> None:
        """Refuse a file that gives no cluster, or too many GPUs for it.

        Raises
        ------
        TopologyError
            With what is wrong in the file.
        """
        del workers, hosts
        self.build()

    def with_hosts(self, hosts: int) -> Self:
        if hosts == self.hosts:
            return self
        raise TopologyError(
            f"{escaped(self.path)} has {self.hosts:,} hosts and cannot be given {hosts:,}; name "
            "another file, or a kind of topology that grows"
        )

    def build(self) -> nx.Graph[str]:
        from topologies.readers import Defaults, read_topology

        graph = read_topology(self.folder / self.path, Defaults(self.bandwidth, self.latency))
        hosts = nodes_of_kind(graph, "host") if self.gpus_per_host else []
        if hosts and nodes_of_kind(graph, "worker"):
            raise TopologyError(
                f"{escaped(self.path)}: has GPUs of its own (nodes of kind worker); "
                "leave out gpus_per_host"
            )
        if len(hosts) * self.gpus_per_host > MAX_LINKS:
            raise TopologyError(
                f"{len(hosts):,} hosts with {self.gpus_per_host} GPUs are too many; at most "
                f"{MAX_LINKS:,} GPUs can be built"
            )
        for host in hosts:
            for number in range(self.gpus_per_host):
                gpu = f"{host}.gpu{number}"
                if gpu in graph:
                    raise TopologyError(
                        f"{escaped(self.path)}: has a node {printable(gpu)} already; rename it"
                    )
                graph.add_node(gpu, kind="worker")
                add_link(graph, host, gpu, self.intra_host)
                if graph.is_directed():
                    add_link(graph, gpu, host, self.intra_host)
        return graph
