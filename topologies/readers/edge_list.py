"""Edge lists: CSV with one link per row, as spreadsheets export them."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulator.errors import TopologyError, printable, suggestion
from topologies.attributes import LinkSpec
from topologies.readers.draft import Defaults, Draft
from topologies.readers.source import Source

if TYPE_CHECKING:
    import networkx as nx

COLUMNS = ("source", "target", "bandwidth", "latency", "source_kind", "target_kind", "duplex")
SYNONYMS = {
    "src": "source",
    "from": "source",
    "dst": "target",
    "dest": "target",
    "destination": "target",
    "to": "target",
    "bw": "bandwidth",
    "capacity": "bandwidth",
    "delay": "latency",
    "src_kind": "source_kind",
    "dst_kind": "target_kind",
}


def read_edge_list(source: Source, defaults: LinkSpec | Defaults | None) -> nx.Graph[str]:
    """Graph of rows ``source,target,bandwidth,latency,source_kind,target_kind``.

    Columns are separated by commas, semicolons or tabs.  A first row with these names
    (or src, dst, bw, delay) may give another order and leave out all but the first two.
    Cells may have units; a row without a target says only that there is a node.  Lines
    that begin with ``#`` are comments.  A link may be listed from both of its ends.
    """
    draft = Draft(source, defaults, both_ways=True)
    columns: list[str] | None = None
    for line, cells in _rows(source):
        place = source.at(line)
        if columns is None:
            header = _header(cells, place)
            columns = header or list(COLUMNS)
            if header:
                continue
        if len(cells) > len(columns) or len(cells) < 2:
            wanted = f"{len(columns)} cells ({', '.join(columns)})"
            draft.problem(place, f"expected {wanted}, not {len(cells)}")
            continue
        said = dict(zip(columns, cells, strict=False))
        u, v = said.pop("source"), said.pop("target")
        if not u or not v:
            if u:
                draft.node(u, place, {"kind": said.get("source_kind")})
            else:
                draft.problem(place, f"has no source: {printable(','.join(cells))}")
            continue
        draft.node(u, place, {"kind": said.get("source_kind")})
        draft.node(v, place, {"kind": said.get("target_kind")})
        draft.link(u, v, place, said)
    return draft.finish()


def _rows(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Rows with their first line, stripped; no comments and no empty ones."""
    first = next((line for line in source.lines() if _counts(line)), "")
    delimiter = max(",;\t", key=first.count)
    reader = csv.reader(
        io.StringIO(source.text, newline=""),
        delimiter=delimiter,
        skipinitialspace=True,
        strict=True,
    )
    line = 1
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise TopologyError(f"{source.at(line)}: is no CSV: {error}") from None
        stripped = [cell.strip() for cell in cells]
        if any(stripped) and _counts(stripped[0] or "."):
            yield line, stripped
        line = reader.line_num + 1


def _counts(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _header(cells: list[str], place: str) -> list[str] | None:
    """Names of the columns if the first row gives them."""
    names = [SYNONYMS.get(cell.lower(), cell.lower()) for cell in cells]
    if "source" not in names and "target" not in names:
        return None
    for given, name in zip(cells, names, strict=True):
        if name not in COLUMNS:
            raise TopologyError(
                f"{place}: no column {printable(given)}; {suggestion(name, COLUMNS)}"
            )
        if names.count(name) > 1:
            raise TopologyError(f"{place}: there are two columns for {name}")
    if not {"source", "target"} <= {*names}:
        raise TopologyError(f"{place}: needs the columns source and target, not {printable(cells)}")
    return names
