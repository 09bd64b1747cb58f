"""Measured costs of collectives: tables of nccl-tests, interpolated."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
from annotated_types import Ge

from simulator.errors import DataError, escaped, printable, suggestion

MOST_BYTES = 64 << 20
KINDS = {  # as nccl-tests calls them
    "all_reduce": "all-reduce",
    "reduce": "reduce",
    "broadcast": "broadcast",
    "all_gather": "all-gather",
    "reduce_scatter": "reduce-scatter",
    "gather": "gather",
    "scatter": "scatter",
    "alltoall": "all-to-all",
}
COLUMNS = ("kind", "nodes", "ranks_per_node", "nbytes", "time_s")


class Measurement(NamedTuple):
    """How long a collective of *nbytes* took.

    As in nccl-tests, *nbytes* is the size of the larger of a rank's two buffers: for
    all-gather, reduce-scatter, gather and scatter that of all ranks' parts together.
    None stands for what a file does not say.
    """

    kind: str | None
    nodes: int | None
    ranks_per_node: int | None
    nbytes: float
    time_s: float


@dataclass(frozen=True)
class MeasuredCosts:
    """A file of measured collectives: the output of nccl-tests, or a CSV file with the columns
    kind, nodes, ranks_per_node, nbytes and time_s.

    What the file does not say itself is given beside its path.
    """

    path: str
    collective: str | None = None
    nodes: Annotated[int, Ge(1)] | None = None
    ranks_per_node: Annotated[int, Ge(1)] | None = None


def read_measurements(path: Path) -> list[Measurement]:
    """Everything that was measured, in the order of the file.

    Raises
    ------
    DataError
        If it cannot be read or has no measurements.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise DataError(f"{escaped(str(path))} is larger than {MOST_BYTES >> 20} MiB")
        lines = content.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"{escaped(str(path))} is no UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise DataError(f"{escaped(str(path))} cannot be read: {error.strerror}") from None
    first = next((line for line in lines if line.strip()), "")
    found = list(_of_csv(path, lines) if first.startswith("kind,") else _of_log(lines))
    if not found:
        raise DataError(
            f"{escaped(str(path))} has no measurements; expected the output of nccl-tests or a "
            f"CSV file with the columns {','.join(COLUMNS)}"
        )
    return found


def _of_csv(path: Path, lines: Sequence[str]) -> Iterator[Measurement]:
    reader = csv.DictReader(lines)
    if missing := [name for name in COLUMNS if name not in (reader.fieldnames or ())]:
        raise DataError(f"{escaped(str(path))}:1: has no column {', '.join(missing)}")
    for row in reader:
        try:
            one = Measurement(
                row["kind"],
                int(row["nodes"]),
                int(row["ranks_per_node"]),
                float(row["nbytes"]),
                float(row["time_s"]),
            )
            sizes = one.nodes, one.ranks_per_node, one.nbytes, one.time_s
            if one.kind not in KINDS.values() or not all(
                0 < n < math.inf for n in sizes if n is not None
            ):
                raise ValueError
        except (TypeError, ValueError):
            raise DataError(
                f"{escaped(str(path))}:{reader.line_num}: expected {','.join(COLUMNS)}, such as "
                "all-reduce,2,8,1000000,0.00031"
            ) from None
        yield one


_PREFIX = re.compile(r"^\s*(?:\d+:\s|\[[^\]]*\]<std(?:out|err)>:)?\s*")
_STARTING = re.compile(r"# Collective test starting: (\w+?)_perf")
_RANK = re.compile(r"#\s+Rank\s+(\d+)\s.*?\bon\s+(\S+)\s+device")
_TIMES = 8  # time, algbw, busbw and errors, out of place and in place


def _of_log(lines: Iterable[str]) -> Iterator[Measurement]:
    """Rows of nccl-tests, of several versions, with the prefixes that launchers add."""
    kind, hosts, rows_since = None, dict[str, int](), False
    for raw in lines:
        line = _PREFIX.sub("", raw, count=1)
        if found := _STARTING.search(line):
            kind = KINDS.get(found[1], found[1])
        elif found := _RANK.match(line):
            if rows_since:  # another test, perhaps on other hosts
                hosts, rows_since = {}, False
            hosts[found[2]] = hosts.get(found[2], 0) + 1
        else:
            words = line.split()
            if len(words) > _TIMES + 2 and words[0].isdigit() and words[1].isdigit():
                rows_since = True
                seconds = _number(words[-_TIMES]) / 1e6
                if words[0] != "0" and 0 < seconds < math.inf:
                    per_host = next(iter(hosts.values())) if len(set(hosts.values())) == 1 else None
                    yield Measurement(kind, len(hosts) or None, per_host, float(words[0]), seconds)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return math.nan


class CostTable:
    """Measured times by kind, nodes, ranks per node and size.

    Between measured sizes, and between measured numbers of nodes, the logarithm of the
    time is interpolated over the logarithm of what is in between; one straight line of
    latency and bandwidth would miss measured collectives by 8 to 50 %.

    Parameters
    ----------
    measurements
        Where several are alike, their median counts.

    >>> table = CostTable([Measurement("all-reduce", 2, 8, 1e6, 1e-3),
    ...                    Measurement("all-reduce", 2, 8, 1e8, 1e-1)])
    >>> round(table.seconds("all-reduce", 2, 8, 1e7), 6)
    0.01
    """

    def __init__(self, measurements: Iterable[Measurement]):
        groups: dict[tuple[Any, Any, Any], dict[float, list[float]]] = {}
        for kind, nodes, ranks_per_node, nbytes, time_s in measurements:
            sizes = groups.setdefault((kind, nodes, ranks_per_node), {})
            sizes.setdefault(nbytes, []).append(time_s)
        self._curves = {
            key: (np.log(sorted(sizes)), np.log([np.median(sizes[s]) for s in sorted(sizes)]))
            for key, sizes in groups.items()
        }

    def seconds(self, kind: str, nodes: int, ranks_per_node: int, nbytes: float) -> float:
        """Time of one collective.

        Below the smallest size it is that of the smallest one, above the largest it grows
        with the size.

        Raises
        ------
        DataError
            If nothing was measured that this can be found from.
        """
        known = [
            n for k, n, r in self._curves if (k, r) == (kind, ranks_per_node) and n is not None
        ]
        below, above = [n for n in known if n <= nodes], [n for n in known if n >= nodes]
        if not below or not above:
            raise DataError(
                f"{kind} was not measured on {nodes} x {ranks_per_node} (nodes x ranks per node), "
                f"nor on fewer and on more nodes; there are {self._described() or 'none'}"
            )
        low, high = max(below), min(above)
        times = [self._of_size((kind, n, ranks_per_node), nbytes) for n in (low, high)]
        if low == high:
            return math.exp(times[0])
        share = (math.log(nodes) - math.log(low)) / (math.log(high) - math.log(low))
        return math.exp(times[0] + share * (times[1] - times[0]))

    def _of_size(self, key: tuple[Any, Any, Any], nbytes: float) -> float:
        sizes, times = self._curves[key]
        size = math.log(nbytes) if nbytes > 0 else -math.inf
        beyond = max(0.0, size - float(sizes[-1]))
        return float(np.interp(size, sizes, times)) + beyond

    def _described(self) -> str:
        shapes = [
            f"{kind or 'an unknown collective'} on {nodes or '?'} x {ranks or '?'}"
            for kind, nodes, ranks in self._curves
        ]
        return ", ".join(shapes[:8]) + (", ..." if len(shapes) > 8 else "")


def completed(
    measurements: Iterable[Measurement], settings: MeasuredCosts
) -> Iterator[Measurement]:
    """*measurements* with what *settings* say where the file says nothing.

    Raises
    ------
    DataError
        If something is still not said.
    """
    if settings.collective is not None and settings.collective not in KINDS.values():
        hint = suggestion(settings.collective, KINDS.values())
        raise DataError(f"no collective {printable(settings.collective)}; {hint}")
    for one in measurements:
        full = one._replace(
            kind=settings.collective or one.kind,
            nodes=settings.nodes or one.nodes,
            ranks_per_node=settings.ranks_per_node or one.ranks_per_node,
        )
        names = ("collective", "nodes", "ranks_per_node")
        if missing := [name for name, said in zip(names, full, strict=False) if said is None]:
            raise DataError(
                f"{escaped(settings.path)} does not say {', '.join(missing)}; give it beside path"
            )
        yield full


def counted_size(kind: str, nbytes: float, ranks: int) -> float:
    """The size that nccl-tests prints for a collective that is called with *nbytes* here.

    >>> counted_size("all-gather", 10.0, 4), counted_size("all-reduce", 10.0, 4)
    (40.0, 10.0)
    """
    return nbytes * ranks if kind in ("all-gather", "gather", "scatter") else nbytes


BUS_FACTORS: Mapping[str, Any] = {
    "all-reduce": lambda n: 2 * (n - 1) / n,
    "all-gather": lambda n: (n - 1) / n,
    "reduce-scatter": lambda n: (n - 1) / n,
    "all-to-all": lambda n: (n - 1) / n,
    "gather": lambda n: (n - 1) / n,
    "scatter": lambda n: (n - 1) / n,
}


def bus_bandwidth(kind: str, ranks: int, nbytes: float, seconds: float) -> tuple[float, float]:
    """Algorithm bandwidth and bus bandwidth as nccl-tests defines them, B/s.

    Bus bandwidth is what one link would carry if the collective used it at best
    (``doc/PERFORMANCE.md`` of nccl-tests); *nbytes* is the size that nccl-tests prints.
    """
    algorithm = nbytes / seconds if seconds > 0 else math.inf
    factor = BUS_FACTORS[kind](ranks) if kind in BUS_FACTORS else 1.0
    return algorithm, algorithm * factor
