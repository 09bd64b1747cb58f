"""Fidelity ``flow`` against ``message``: the table of docs/validation.md.

``python -m tests.validation`` writes it anew; `tests/network/test_fidelities.py` holds a part
of it to what the page says.
"""

import sys
from pathlib import Path

import numpy as np

from simulator.engine import Clock, Trace
from simulator.network import COLLECTIVES
from simulator.network.conditions import Background
from simulator.network.shared import SharedNetwork
from simulator.network.surroundings import surround
from simulator.network.transfers import seconds_of
from topologies import LinkSpec, levels, worker_nodes
from topologies.builders import TOPOLOGIES

PAGE = Path(__file__).parents[1] / "docs" / "validation.md"
NIC = LinkSpec(100e9, 5e-6)
NBYTES = 1e8
RANKS = (8, 16, 32, 64, 128)
PLANS = [
    ("all-reduce", "ring"),
    ("all-reduce", "recursive-doubling"),
    ("all-reduce", "halving-doubling"),
    ("all-reduce", "tree"),
    ("all-reduce", "double-tree"),
    ("all-gather", "ring"),
    ("reduce-scatter", "ring"),
    ("all-to-all", "pairwise"),
]


def topology(kind, n):
    """A cluster of n single-worker hosts, or None if there is none of this kind."""
    more = {"star": {}, "leaf-spine": {"hosts_per_leaf": 8, "spines": 2, "oversubscription": 4.0}}
    settings = {"gpus_per_host": 0, "host_link": NIC} | more.get(kind, {})
    if kind in more:
        return TOPOLOGIES[kind](hosts=n, **settings)
    dims = {16: (4, 4), 32: (4, 8), 64: (8, 8), 128: (8, 16)}
    if kind == "torus" and n in dims:
        return TOPOLOGIES[kind](dims=dims[n], **settings)
    arity = {16: 4, 128: 8}
    return TOPOLOGIES[kind](k=arity[n], **settings) if kind == "fat-tree" and n in arity else None


def neighbour(graph, where):
    """A transfer without an end: of another job, or through the first and the last host.

    Another job's hosts hang on the first and the last switch next to hosts; where there is
    only one switch, or none, it has the first and the last host.
    """
    nodes = worker_nodes(graph)
    leaves = [node for node, level in levels(graph).items() if level == 0]
    ends = leaves if where == "another job" and len(leaves) > 1 else nodes
    return Background(source=ends[0], target=ends[-1])


def seconds(made, kind, name, fidelity, *, busy="", shuffled=False):
    """Time of one collective of 100 MB per rank (all-gather: per part 100 MB / n)."""
    graph = made.build()
    network = SharedNetwork(Clock(), graph, Trace().messages, fidelity)
    surround(network, (), (neighbour(graph, busy),) if busy else ())
    nodes = worker_nodes(graph)
    if shuffled:
        nodes = [nodes[i] for i in np.random.default_rng(0).permutation(len(nodes))]
    n = len(nodes)
    nbytes = NBYTES / n if kind == "all-gather" else NBYTES
    plan = COLLECTIVES[kind][name]([[rank] for rank in range(n)], nbytes)
    return seconds_of(network, plan, nodes)


def difference(made, kind, name, **how):
    """By how much ``flow`` differs from ``message``, relative."""
    flow = seconds(made, kind, name, "flow", **how)
    return flow / seconds(made, kind, name, "message", **how) - 1


def shown(apart):
    """A difference in per cent; what would be printed as nothing is "0"."""
    return "0" if abs(apart) < 5e-5 else f"{apart:+.2%}"


def lines(**how):
    """Rows of the table: topology and collective, a column for each number of ranks."""
    yield "| topology | collective | " + " | ".join(f"N = {n}" for n in RANKS) + " |"
    yield "|---|---|" + "---|" * len(RANKS)
    for kind in ("star", "leaf-spine", "fat-tree", "torus"):
        for operation, name in PLANS:
            cells = []
            for n in RANKS:
                made = topology(kind, n)
                cells.append(
                    "" if made is None else shown(difference(made, operation, name, **how))
                )
            yield f"| {kind} | {name} {operation} | " + " | ".join(cells) + " |"


SECTIONS = {
    "quiet": {},
    "another-job": {"busy": "another job"},
    "through-hosts": {"busy": "through hosts"},
    "shuffled": {"shuffled": True},
    "shuffled-another-job": {"shuffled": True, "busy": "another job"},
}


def write(section, table, page=PAGE):
    """Replace the table of *section* on *page*."""
    begin, end = f"<!-- {section} -->\n", f"<!-- end of {section} -->"
    before, rest = page.read_text().split(begin)
    text = "\n".join(table)
    print(f"{section}\n{text}", file=sys.stderr)
    page.write_text(f"{before}{begin}{text}\n{end}{rest.split(end)[1]}")


def main():
    for section, how in SECTIONS.items():
        write(section, lines(**how))


if __name__ == "__main__":
    main()
