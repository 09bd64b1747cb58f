"""Clusters as networkx graphs: builders, readers, what their attributes mean, and a check.

A topology is an ordinary `networkx.Graph` (links are full duplex unless `duplex` is
`half`) or `DiGraph`.  Nodes have a `kind` (`worker`, `host`, `switch`, `server`,
`storage`), edges a `bandwidth` in bit/s and a `latency` in s.  The order of the nodes is
the order of the file and decides ranks and routes; names are never sorted.  Files are read by
`topologies.readers` and written by `topologies.writers`.
"""

from topologies.attributes import LinkSpec, attach, check, levels, nodes_of_kind, worker_nodes
from topologies.builders import TOPOLOGIES, Star, Topology, TwoLevel
from topologies.facts import Facts, facts_of
from topologies.layout import positions

__all__ = [
    "TOPOLOGIES",
    "Facts",
    "LinkSpec",
    "Star",
    "Topology",
    "TwoLevel",
    "attach",
    "check",
    "facts_of",
    "levels",
    "nodes_of_kind",
    "positions",
    "worker_nodes",
]
