"""Node-link JSON, as networkx and d3 write it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from simulator.errors import TopologyError, printable
from topologies.attributes import LinkSpec
from topologies.readers.draft import Defaults, Draft
from topologies.readers.source import Source

if TYPE_CHECKING:
    import networkx as nx


def read_node_link(source: Source, defaults: LinkSpec | Defaults | None) -> nx.Graph[str]:
    """Graph of ``{"nodes": [{"id": ...}], "edges": [{"source": ..., "target": ...}]}``.

    The list of links is called `edges` (networkx 3.4 and later) or `links` (before, and
    d3).  Nodes have an `id` or a `name`, or are just names; links name their ends, or
    give them as numbers of nodes.
    """
    data = _parse(source)
    lists = [key for key in ("edges", "links") if isinstance(data.get(key), list)]
    if not isinstance(data.get("nodes"), list) or len(lists) != 1:
        raise TopologyError(
            f"{source.name}: expected a mapping with a list 'nodes' and one list 'edges' (or "
            f"'links'), not one of {printable(list(data))}"
        )
    draft = Draft(source, defaults, directed=data.get("directed") is True)
    names: list[str] = []
    for number, node in enumerate(data["nodes"]):
        place = source.path("nodes", number)
        said = node if isinstance(node, dict) else {"id": node}
        name = _name(said.get("id", said.get("name")))
        if name is None:
            draft.problem(place, f"expected a node with an 'id' as text, not {printable(node)}")
        elif name in draft.graph:
            draft.problem(place, f"there is a node {printable(name)} already")
        else:
            draft.node(name, place, said)
        names.append(name or "")
    for number, link in enumerate(data[lists[0]]):
        place = source.path(lists[0], number)
        if not isinstance(link, dict):
            draft.problem(place, f"expected a mapping, not {printable(link)}")
            continue
        ends = [_end(link.get(key), names, draft) for key in ("source", "target")]
        for key, end in zip(("source", "target"), ends, strict=True):
            if end is None:
                given = printable(link[key]) if key in link else "nothing"
                draft.problem(place, f"{key} names no node of the list 'nodes': {given}")
        if ends[0] is not None and ends[1] is not None:
            draft.link(ends[0], ends[1], place, link)
    return draft.finish()


def _parse(source: Source) -> dict[str, Any]:
    try:
        data = json.loads(source.text)
    except json.JSONDecodeError as error:
        place = f"{source.at(error.lineno)}:{error.colno}"
        raise TopologyError(f"{place}: is no JSON: {error.msg}") from None
    except RecursionError:
        raise TopologyError(f"{source.name}: is nested too deeply") from None
    except ValueError as error:  # a number with thousands of digits
        raise TopologyError(f"{source.name}: is no JSON: {error}") from None
    if not isinstance(data, dict):
        raise TopologyError(f"{source.name}: expected a mapping, not a {type(data).__name__}")
    return data


def _name(value: Any) -> str | None:
    """Numbers are names as well: networkx writes them for graphs of integers."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _end(value: Any, names: list[str], draft: Draft) -> str | None:
    name = _name(value)
    if name is not None and name in draft.graph:
        return name
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return names[value] if names[value] in draft.graph else None
    return None
