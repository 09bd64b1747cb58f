"""Clusters as networkx graphs: builders, what their attributes mean, and a check.

A topology is an ordinary `networkx.Graph` (links are full duplex) or `DiGraph`.
Nodes have a `kind` (`worker`, `host`, `switch`, `server`, `storage`), edges a
`bandwidth` in bit/s and a `latency` in s.  The order of the nodes is the order of the
file and decides ranks and routes; names are never sorted.
"""

from topologies.attributes import attach, check, nodes_of_kind, worker_nodes
from topologies.builders import TOPOLOGIES, LinkSpec, Star, Topology, TwoLevel

__all__ = [
    "TOPOLOGIES",
    "LinkSpec",
    "Star",
    "Topology",
    "TwoLevel",
    "attach",
    "check",
    "nodes_of_kind",
    "worker_nodes",
]
