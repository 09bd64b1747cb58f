"""The table of `nvidia-smi topo -m`: how the GPUs of one host reach each other."""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

from simulator.errors import TopologyError, printable
from topologies.attributes import LinkSpec
from topologies.readers.draft import Defaults, Draft
from topologies.readers.source import Source

if TYPE_CHECKING:
    import networkx as nx

# One NVLink (generation 2 to 4) carries 25 GB/s in each direction.
NVLINK = LinkSpec(200e9, 1e-6)
# Rough figures for PCI Express 3.0 x16, to be replaced by measured ones: what a copy between
# two GPUs reaches over one PCIe switch (PIX), several (PXB), the CPU's host bridge (PHB),
# the bridges of a NUMA node (NODE), and the link between CPU sockets (SYS).
CLASSES = {
    "PIX": LinkSpec(100e9, 4e-6),
    "PXB": LinkSpec(100e9, 5e-6),
    "PHB": LinkSpec(90e9, 6e-6),
    "NODE": LinkSpec(80e9, 8e-6),
    "SYS": LinkSpec(70e9, 10e-6),
}
TO_HOST = LinkSpec(100e9, 5e-6)
MAX_NVLINKS = 18  # of one GPU, in the fourth generation
_ANSI = re.compile(r"\x1b\[[0-9;]*m")


def read_nvidia_topo(source: Source, defaults: LinkSpec | Defaults | None) -> nx.Graph[str]:
    """One host with the GPUs of the table; NICs and affinities are left aside.

    GPUs are linked to the host, and to each other in pairs by the table's classes: ``NV4``
    are four NVLinks.  Where all pairs have as many NVLinks as one GPU could not have to
    all others, they meet in a switch (NVSwitch).  *defaults* is the link from GPU to host.
    """
    given = defaults or TO_HOST
    draft = Draft(
        source,
        LinkSpec(
            TO_HOST.bandwidth if given.bandwidth is None else given.bandwidth,
            TO_HOST.latency if given.latency is None else given.latency,
        ),
    )
    gpus, rows = _table(source)
    draft.node("host0", source.name, {"kind": "host"})
    for gpu in gpus:
        draft.node(_node(gpu), source.name, {"kind": "worker"})
    for gpu in gpus:
        draft.link("host0", _node(gpu), source.name, {})
    classes = {}
    for i, j in combinations(range(len(gpus)), 2):
        (line, row), (_, back) = rows[i], rows[j]
        if row[j] != back[i]:
            both = f"{printable(row[j])} in one row and {printable(back[i])} in the other"
            draft.problem(source.at(line), f"{gpus[i]} - {gpus[j]} is {both}")
        elif spec := _spec(row[j]):
            classes[i, j] = row[j], spec
        else:
            known = f"known: X, NV1 ... NV{MAX_NVLINKS}, {', '.join(CLASSES)}"
            draft.problem(source.at(line), f"no class {printable(row[j])} of links; {known}")
    names = [name for name, _ in classes.values()]
    meet = names and len({*names}) == 1 and names[0].startswith("NV") and len(gpus) > 2
    if meet and int(names[0][2:]) * (len(gpus) - 1) > MAX_NVLINKS:
        draft.node("host0.nvswitch", source.name, {"kind": "switch", "level": 0})
        for gpu in gpus:
            spec = classes[0, 1][1]
            draft.link("host0.nvswitch", _node(gpu), source.name, _said(spec))
    else:
        for (i, j), (_, spec) in classes.items():
            place = source.at(rows[i][0])
            draft.link(_node(gpus[i]), _node(gpus[j]), place, _said(spec))
    return draft.finish()


def _spec(name: str) -> LinkSpec | None:
    """The link that a class stands for."""
    match = re.fullmatch(r"NV([0-9]{1,2})", name, re.ASCII)
    if match and 1 <= int(match[1]) <= MAX_NVLINKS:
        return LinkSpec(int(match[1]) * NVLINK.bandwidth, NVLINK.latency)
    return CLASSES.get(name)


def _node(gpu: str) -> str:
    """Name of a GPU in the graph, like that of the builders."""
    return f"host0.{gpu.lower()}"


def _said(spec: LinkSpec) -> dict[str, float]:
    return {"bandwidth": spec.bandwidth, "latency": spec.latency}


def _table(source: Source) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Names of the GPUs, and for each its line and its cells for all GPUs."""
    columns: list[str] = []
    gpus: list[str] = []
    rows: dict[str, tuple[int, list[str]]] = {}
    for number, line in enumerate(source.lines(), 1):
        words = _ANSI.sub("", line).split()
        if not columns:
            if words[:1] == ["GPU0"]:
                columns = words
                gpus = [word for word in words if re.fullmatch(r"GPU[0-9]{1,4}", word, re.ASCII)]
            continue
        if words and words[0] in gpus and words[0] not in rows:
            # The GPUs are the first columns; a cell is one word, empty ones come only later.
            cells = words[1 : len(gpus) + 1]
            if len(cells) < len(gpus):
                raise TopologyError(
                    f"{source.at(number)}: expected {len(gpus)} cells, not {len(cells)}"
                )
            rows[words[0]] = number, cells
    if missing := [gpu for gpu in gpus if gpu not in rows]:
        raise TopologyError(f"{source.name}: the table has no row for {missing[0]}")
    return gpus, [rows[gpu] for gpu in gpus]


def looks_like_nvidia_topo(text: str) -> bool:
    """Whether some line begins with the head of the table."""
    return re.search(r"^[ \t]*GPU0([ \t]|$)", _ANSI.sub("", text), re.M) is not None
