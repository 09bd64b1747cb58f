"""Builders: settings that give a networkx graph with units in its attributes."""

from topologies.attributes import LinkSpec
from topologies.builders.direct import FullyConnected, Hypercube, Ring, Torus
from topologies.builders.dragonfly import Dragonfly
from topologies.builders.gpu import RailOptimised
from topologies.builders.hosts import (
    MAX_GPUS,
    MAX_HOSTS,
    MAX_LINKS,
    NIC,
    PCIE,
    TOPOLOGIES,
    Hosts,
    Topology,
)
from topologies.builders.imported import Imported
from topologies.builders.trees import FatTree, LeafSpine, Star, TwoLevel
from topologies.builders.wan import MultiRegion

__all__ = [
    "MAX_GPUS",
    "MAX_HOSTS",
    "MAX_LINKS",
    "NIC",
    "PCIE",
    "TOPOLOGIES",
    "Dragonfly",
    "FatTree",
    "FullyConnected",
    "Hosts",
    "Hypercube",
    "Imported",
    "LeafSpine",
    "LinkSpec",
    "MultiRegion",
    "RailOptimised",
    "Ring",
    "Star",
    "Topology",
    "Torus",
    "TwoLevel",
]
