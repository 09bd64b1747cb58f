"""Readers: topology files in the formats that people have."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from simulator.errors import TopologyError
from topologies.attributes import LinkSpec
from topologies.readers.astra_sim import looks_like_astra_sim, read_astra_sim
from topologies.readers.draft import Defaults, infer_kinds
from topologies.readers.edge_list import read_edge_list
from topologies.readers.graphml import read_graphml
from topologies.readers.hostlist import expand_hostlist
from topologies.readers.node_link import read_node_link
from topologies.readers.nvidia import looks_like_nvidia_topo, read_nvidia_topo
from topologies.readers.simgrid import read_simgrid
from topologies.readers.slurm import looks_like_slurm, read_slurm
from topologies.readers.source import Source, open_source

if TYPE_CHECKING:
    import networkx as nx

Reader = Callable[[Source, "LinkSpec | Defaults | None"], "nx.Graph[str]"]

SEEN = 2**16  # characters in which a file must show its format

READERS: dict[str, Reader] = {
    "node-link JSON": read_node_link,
    "GraphML": read_graphml,
    "SimGrid platform": read_simgrid,
    "Slurm topology.conf": read_slurm,
    "nvidia-smi topo -m": read_nvidia_topo,
    "ASTRA-sim network.yml": read_astra_sim,
    "CSV edge list": read_edge_list,
}


def read_topology(path: str | Path, defaults: LinkSpec | Defaults | None = None) -> nx.Graph[str]:
    """The cluster that a file describes, checked.

    The format is known by the content, whatever the file is called.  Nodes without a
    `kind` are hosts if they have a single neighbour and switches otherwise; where that
    leaves no host at all, all are hosts.

    Parameters
    ----------
    path
        A file in one of the formats `READERS` names.
    defaults
        Bandwidth and latency of links of which the file says nothing.

    Raises
    ------
    TopologyError
        With the places of the first 20 problems: file and line, or the path of a value.
    """
    source = open_source(path)
    try:
        return READERS[format_of(source)](source, defaults)
    except RecursionError:  # also while a deep value is shown in a message
        raise TopologyError(f"{source.name}: is nested too deeply") from None


def format_of(source: Source) -> str:
    """Name of the format of a file, one of `READERS`.

    Raises
    ------
    TopologyError
        If it is none that is known.
    """
    text = source.text.lstrip()[:SEEN]
    if text.startswith("{"):
        return "node-link JSON"
    if text.startswith("<"):
        root = re.search(r"<(?:\w+:)?([A-Za-z]\w*)", re.sub(r"<!--.*?-->", "", text, flags=re.S))
        formats = {"graphml": "GraphML", "platform": "SimGrid platform"}
        if root and root[1] in formats:
            return formats[root[1]]
    elif looks_like_slurm(text):
        return "Slurm topology.conf"
    elif looks_like_nvidia_topo(text):
        return "nvidia-smi topo -m"
    elif looks_like_astra_sim(text):
        return "ASTRA-sim network.yml"
    elif any(re.search(r"[,;\t]", line) for line in _first_line(text)):
        return "CSV edge list"
    what = "is empty" if not text else "is in no format that is known"
    raise TopologyError(f"{source.name}: {what}; known: {', '.join(READERS)}")


def _first_line(text: str) -> list[str]:
    """The first line that is no comment."""
    match = re.search(r"^[ \t]*[^\s#].*", text, re.M)
    return [match[0]] if match else []


__all__ = [
    "READERS",
    "Defaults",
    "Source",
    "expand_hostlist",
    "format_of",
    "infer_kinds",
    "open_source",
    "read_topology",
]
