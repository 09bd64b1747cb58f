"""GraphML, as the Topology Zoo, yEd, Gephi and networkx write it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from simulator.errors import TopologyError, printable
from topologies.attributes import LinkSpec
from topologies.readers.draft import Defaults, Draft
from topologies.readers.source import Source
from topologies.readers.xml import Element, parse_xml

if TYPE_CHECKING:
    import networkx as nx

Keys = dict[tuple[str, str], tuple[str, str | None]]


def read_graphml(source: Source, defaults: LinkSpec | Defaults | None) -> nx.Graph[str]:
    """Graph of a GraphML file; nodes are called by their `id`.

    Data with the names `kind`, `level`, `label` of nodes and `bandwidth` (or the Topology
    Zoo's `LinkSpeedRaw`, bit/s), `latency` and `duplex` of edges count, as numbers in SI
    units or text with units; other data are left aside.
    """
    root = parse_xml(source)
    graphs = [child for child in root.children if child.tag == "graph"]
    if len(graphs) != 1:
        raise TopologyError(f"{source.name}: expected one <graph>, not {len(graphs)}")
    keys = _keys(root)
    directed = graphs[0].get("edgedefault") == "directed"
    draft = Draft(source, defaults, directed=directed)
    for element in graphs[0].children:
        place = source.at(element.line)
        if element.tag == "node":
            _node(draft, element, place, keys)
        elif element.tag == "hyperedge":
            draft.problem(place, "a <hyperedge> is no link; use a node of kind switch")
    # Edges may stand before the nodes they join.
    for element in graphs[0].children:
        if element.tag == "edge":
            _edge(draft, element, source.at(element.line), keys, directed)
    return draft.finish()


def _keys(root: Element) -> Keys:
    """Name and default of every kind of data, by what it belongs to and its id."""
    keys: Keys = {}
    for key in root.children:
        if key.tag == "key":
            default = next((c.text.strip() for c in key.children if c.tag == "default"), None)
            for owner in ("node", "edge"):
                if key.get("for", "all") in (owner, "all"):
                    keys[owner, key.get("id")] = key.get("attr.name", key.get("id")), default
    return keys


def _data(element: Element, keys: Keys) -> dict[str, Any]:
    """Data of a node or an edge by name, with defaults."""
    said: dict[str, Any] = {
        name: default
        for (owner, _), (name, default) in keys.items()
        if owner == element.tag and default is not None
    }
    for child in element.children:
        if child.tag == "data" and (key := keys.get((element.tag, child.get("key")))):
            said[key[0]] = child.text.strip()
    return said


def _node(draft: Draft, element: Element, place: str, keys: Keys) -> None:
    name = element.get("id")
    if name in draft.graph:
        draft.problem(place, f"there is a node {printable(name)} already")
        return
    if any(child.tag == "graph" for child in element.children):
        draft.problem(place, f"node {printable(name)} holds a graph; save it without groups")
    said = _data(element, keys)
    if "x" in said and "y" in said:
        said["pos"] = (said["x"], said["y"])
    draft.node(name, place, said)


def _edge(draft: Draft, element: Element, place: str, keys: Keys, directed: bool) -> None:
    ends = element.get("source"), element.get("target")
    if missing := list(_missing(draft, ends)):
        draft.problem(place, f"there is no node {printable(missing[0])}")
        return
    if element.get("directed", str(directed).lower()) != str(directed).lower():
        draft.problem(place, "directed and undirected edges cannot be mixed")
    draft.link(*ends, place, _data(element, keys))


def _missing(draft: Draft, ends: tuple[str, str]) -> Iterator[str]:
    return (end for end in ends if end not in draft.graph)
