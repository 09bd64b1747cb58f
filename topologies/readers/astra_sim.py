"""ASTRA-sim's network.yml: a product of rings, full meshes and switches."""

from __future__ import annotations

import math
import re
from itertools import combinations
from typing import TYPE_CHECKING, Any

from simulator.errors import TopologyError, printable, suggestion
from topologies.attributes import LinkSpec
from topologies.readers.draft import Defaults, Draft
from topologies.readers.source import Source

if TYPE_CHECKING:
    import networkx as nx

KEYS = ("topology", "npus_count", "bandwidth", "latency")
BLOCKS = ("Ring", "FullyConnected", "Switch")
MAX_BYTES, MAX_NPUS, MAX_LINKS = 2**16, 100_000, 2_000_000


def read_astra_sim(source: Source, defaults: LinkSpec | Defaults | None) -> nx.Graph[str]:
    """Graph of the NPUs of an ASTRA-sim network, every NPU a host.

    Dimension d joins the NPUs that differ in coordinate d alone, the first coordinate
    running fastest: to a ring, in pairs, or by a switch.  `bandwidth` is in GB/s (10^9
    bytes) and `latency` in ns, per link and direction.
    """
    del defaults  # the format has both
    blocks, counts, bandwidth, latency = _columns(source)
    _affordable(source, blocks, counts)
    draft = Draft(source, None)
    total = math.prod(counts)
    for npu in range(total):
        draft.node(f"npu{npu}", source.name, {"kind": "host"})
    stride = 1
    for d, (block, count) in enumerate(zip(blocks, counts, strict=True)):
        link = {"bandwidth": f"{bandwidth[d]!r} GB/s", "latency": f"{latency[d]!r} ns"}
        firsts = (npu for npu in range(total) if npu // stride % count == 0)
        for number, first in enumerate(firsts):
            line = [f"npu{first + i * stride}" for i in range(count)]
            place = source.path("topology", d)
            if block == "Switch":
                switch = f"dim{d}.switch{number}"
                draft.node(switch, place, {"kind": "switch", "level": d})
                pairs = [(switch, npu) for npu in line]
            elif block == "Ring" and count > 2:
                pairs = list(zip(line, line[1:] + line[:1], strict=True))
            else:
                pairs = list(combinations(line, 2))
            for u, v in pairs:
                draft.link(u, v, place, link)
        stride *= count
    return draft.finish()


def _affordable(source: Source, blocks: list[str], counts: list[int]) -> None:
    total = math.prod(counts)
    per_npu = [
        (count - 1) / 2 if block == "FullyConnected" else 1.0
        for block, count in zip(blocks, counts, strict=True)
    ]
    if total > MAX_NPUS or total * sum(per_npu) > MAX_LINKS:
        raise TopologyError(
            f"{source.path('npus_count')}: makes {total:,} NPUs with {total * sum(per_npu):,.0f} "
            f"links; at most {MAX_NPUS:,} and {MAX_LINKS:,} can be built"
        )


def _columns(source: Source) -> tuple[list[str], list[int], list[float], list[float]]:
    """The four lists of the file, all of one length."""
    data = _parse(source)
    for key in data:
        if key not in KEYS:
            raise TopologyError(
                f"{source.path(printable(key))}: is no setting; {suggestion(str(key), KEYS)}"
            )
    columns: list[list[Any]] = []
    for key in KEYS:
        value = data.get(key)
        column = value if isinstance(value, list) else [value]
        if key not in data or not column:
            raise TopologyError(f"{source.path(key)}: is missing; give one value per dimension")
        if len(column) != len(columns[0] if columns else column):
            raise TopologyError(
                f"{source.path(key)}: has {len(column)} values, but topology has {len(columns[0])}"
            )
        for number, entry in enumerate(column):
            if problem := _wrong(key, entry):
                place = source.path(key, number)
                raise TopologyError(f"{place}: {problem}, not {printable(entry)}")
        columns.append(column)
    return columns[0], columns[1], columns[2], columns[3]


def _wrong(key: str, entry: Any) -> str | None:
    """What would be right instead of *entry*."""
    if key == "topology":
        return None if entry in BLOCKS else f"must be one of {', '.join(BLOCKS)}"
    number = isinstance(entry, int | float) and not isinstance(entry, bool)
    if key == "npus_count":
        fits = number and isinstance(entry, int) and 1 <= entry <= MAX_NPUS
        return None if fits else f"must be a whole number from 1 to {MAX_NPUS:,}"
    if key == "bandwidth":
        return None if number and 1e-6 <= entry <= 1e8 else "must be a number of GB/s above 0"
    return None if number and 0 <= entry <= 1e15 else "must be a number of ns"


def _parse(source: Source) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    if len(source.text) > MAX_BYTES:
        raise TopologyError(
            f"{source.name}: is too long for a network.yml; put the links of a large network "
            "into a .json, .graphml or .csv file"
        )
    for number, line in enumerate(source.lines(), 1):
        # Four lists need no anchors, tags or merges, with which small files grow large.
        if re.search(r"(^|[\s\[{,:-])[&*!]\S", line.split("#")[0]):
            raise TopologyError(f"{source.at(number)}: anchors, aliases and tags are not read")
    try:
        data = YAML(typ="safe", pure=True).load(source.text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = source.at(mark.line + 1) if mark else source.name
        raise TopologyError(f"{place}: is no YAML: {error.problem}") from None
    except (YAMLError, RecursionError, ValueError, OverflowError) as error:
        reason = str(error).splitlines()[0] if str(error) else "nested too deeply"
        raise TopologyError(f"{source.name}: is no YAML: {printable(reason)}") from None
    if not isinstance(data, dict):
        raise TopologyError(f"{source.name}: expected a mapping with {', '.join(KEYS)}")
    return data


def looks_like_astra_sim(text: str) -> bool:
    """Whether some line counts NPUs or lists topologies (that of a scenario is a mapping)."""
    return re.search(r"^(npus_count[ \t]*:|topology[ \t]*:[ \t]*[\[&!])", text, re.M) is not None
