"""Writers: a topology as a file that other tools, and `read_topology`, can read."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from simulator.errors import TopologyError, escaped, printable
from simulator.units import show

if TYPE_CHECKING:
    import networkx as nx

NODE_DATA, LINK_DATA = ("kind", "level", "label"), ("bandwidth", "latency", "duplex")
NUMBERS = ("bandwidth", "latency", "x", "y")
NAMESPACE = "http://graphml.graphdrawing.org/xmlns"
_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_topology(graph: nx.Graph[str], path: str | Path) -> None:
    """Write *graph* as node-link JSON, GraphML, CSV or DOT, by the suffix of *path*.

    The file appears whole or not at all; one that is there is replaced.  CSV keeps kinds,
    bandwidths and latencies, but neither levels nor positions; DOT is for pictures and
    cannot be read back.

    Raises
    ------
    TopologyError
        For another suffix, a graph that the format cannot hold, or a folder that cannot
        be written to.
    """
    target = Path(path)
    writer = WRITERS.get(target.suffix.lower())
    if writer is None:
        raise TopologyError(
            f"{escaped(str(path))}: no format has the suffix {printable(target.suffix)}; "
            f"known: {', '.join(WRITERS)}"
        )
    text = writer(graph)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("w", encoding="utf-8", newline="") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise TopologyError(f"{escaped(str(path))}: cannot be written: {reason}") from None


def to_json(graph: nx.Graph[str]) -> str:
    """Node-link JSON, one node or link per line."""
    nodes = [{"id": node, **_kept(data, (*NODE_DATA, "pos"))} for node, data in graph.nodes.items()]
    edges = [
        {"source": u, "target": v, **_kept(data, LINK_DATA)}
        for u, v, data in graph.edges(data=True)
    ]
    head = {"directed": graph.is_directed(), "multigraph": False, "graph": {}}
    parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
    for key, rows in (("nodes", nodes), ("edges", edges)):
        lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
        parts.append(f"{json.dumps(key)}: [\n{lines}\n]")
    return "{" + ",\n".join(parts) + "}\n"


def to_graphml(graph: nx.Graph[str]) -> str:
    """GraphML with typed keys; a position is written as x and y."""
    types = {"kind": "string", "level": "int", "label": "string", "duplex": "string"}
    lines = ['<?xml version="1.0" encoding="utf-8"?>', f'<graphml xmlns="{NAMESPACE}">']
    for owner, names in (("node", (*NODE_DATA, "x", "y")), ("edge", LINK_DATA)):
        for name in names:
            kind = types.get(name, "double")
            lines.append(
                f'  <key id="{name}" for="{owner}" attr.name="{name}" attr.type="{kind}"/>'
            )
    direction = "directed" if graph.is_directed() else "undirected"
    lines.append(f'  <graph edgedefault="{direction}">')
    for node, data in graph.nodes.items():
        x, y = data.get("pos") or (None, None)
        kept = _kept({**data, "x": x, "y": y}, (*NODE_DATA, "x", "y"))
        lines.append(f"    <node id={_quoted(node)}>{_xml_data(kept)}</node>")
    for u, v, data in graph.edges(data=True):
        ends = f"source={_quoted(u)} target={_quoted(v)}"
        lines.append(f"    <edge {ends}>{_xml_data(_kept(data, LINK_DATA))}</edge>")
    return "\n".join([*lines, "  </graph>", "</graphml>", ""])


def to_csv(graph: nx.Graph[str]) -> str:
    """An edge list; rows without a target keep the order of nodes that links would change."""
    for u, v in graph.edges if graph.is_directed() else ():
        if graph.get_edge_data(v, u) != graph.edges[u, v]:
            raise TopologyError(
                f"link {printable(u)} - {printable(v)} has no equal way back, which CSV cannot "
                "say; write .json"
            )
    links = list(_once(graph))
    columns = ["source", "target", "bandwidth", "latency", "source_kind", "target_kind"]
    half = any("duplex" in data for *_, data in links)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*columns, *(["duplex"] if half else [])])
    kinds = dict(graph.nodes(data="kind"))
    seen = dict.fromkeys(node for u, v, _ in links for node in (u, v))
    reordered = list(seen) != list(graph)
    for name in graph:
        if name != name.strip() or name.startswith("#") or not name:
            raise TopologyError(f"a node called {printable(name)} cannot stand in CSV; write .json")
        if reordered:
            table.writerow([name, "", "", "", kinds[name], "", *([""] if half else [])])
    for u, v, data in links:
        row = [
            u,
            v,
            repr(float(data["bandwidth"])),
            repr(float(data["latency"])),
            kinds[u],
            kinds[v],
        ]
        table.writerow([*row, *([data.get("duplex", "full")] if half else [])])
    return text.getvalue()


def to_dot(graph: nx.Graph[str]) -> str:
    """DOT for Graphviz, with bandwidth and latency on the links."""
    shapes = {"switch": "box", "host": "ellipse", "worker": "circle"}
    word, arrow = ("digraph", "->") if graph.is_directed() else ("graph", "--")
    lines = [f"{word} topology {{"]
    for node, kind in graph.nodes(data="kind"):
        lines.append(
            f"  {_dot(node)} [kind={_dot(str(kind))}, shape={shapes.get(kind, 'ellipse')}];"
        )
    for u, v, data in graph.edges(data=True):
        label = f"{show(data['bandwidth'], 'bit/s')}, {show(data['latency'], 's')}"
        lines.append(f"  {_dot(u)} {arrow} {_dot(v)} [label={_dot(label)}];")
    return "\n".join([*lines, "}", ""])


WRITERS: dict[str, Callable[[nx.Graph[str]], str]] = {
    ".json": to_json,
    ".graphml": to_graphml,
    ".csv": to_csv,
    ".dot": to_dot,
}


def _kept(data: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    kept = {name: data[name] for name in names if data.get(name) is not None}
    # numbers may be numpy's, which JSON does not know and `repr` shows with their type
    return {name: float(value) if name in NUMBERS else value for name, value in kept.items()}


def _once(graph: nx.Graph[str]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every link once, also those that a directed graph has in both directions."""
    seen: dict[tuple[str, str], None] = {}
    for u, v, data in graph.edges(data=True):
        if (v, u) not in seen:
            seen[u, v] = None
            yield u, v, data


def _quoted(name: str) -> str:
    from xml.sax.saxutils import quoteattr

    _refuse_control(name)
    # Line ends in attributes become blanks unless they are written as numbers.
    return quoteattr(name, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})


def _xml_data(data: dict[str, Any]) -> str:
    from xml.sax.saxutils import escape  # it imports urllib, which takes 20 ms

    parts = []
    for name, value in data.items():
        text = value if isinstance(value, str) else repr(value)
        _refuse_control(text)
        parts.append(f'<data key="{name}">{escape(text)}</data>')
    return "".join(parts)


def _refuse_control(text: str) -> None:
    if _NOT_IN_XML.search(text):
        raise TopologyError(f"{printable(text)} has characters that XML cannot hold; write .json")


def _dot(text: str) -> str:
    """A quoted string of DOT, in which a backslash is an escape."""
    return '"' + escaped(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
