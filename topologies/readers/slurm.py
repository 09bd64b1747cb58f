"""Slurm's topology.conf: a tree of switches with its nodes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simulator.errors import TopologyError, printable, suggestion
from topologies.attributes import LinkSpec
from topologies.readers.draft import Defaults, Draft
from topologies.readers.hostlist import expand_hostlist
from topologies.readers.source import Source

if TYPE_CHECKING:
    import networkx as nx

KEYS = ("SwitchName", "Nodes", "Switches", "LinkSpeed")


def read_slurm(source: Source, defaults: LinkSpec | Defaults | None) -> nx.Graph[str]:
    """Graph of lines such as ``SwitchName=s0 Nodes=tux[0-3,12]`` or ``... Switches=s[0-1]``.

    Slurm knows neither bandwidth (LinkSpeed is ignored, as Slurm does) nor latency, so
    *defaults* must say both.
    """
    if defaults is None or defaults.bandwidth is None or defaults.latency is None:
        raise TopologyError(
            f"{source.name}: topology.conf says nothing of bandwidth and latency; give both beside "
            "its path, such as bandwidth: 25 Gbit/s and latency: 5 us (on the command line -S "
            "topology.bandwidth='25 Gbit/s' -S topology.latency='5 us')"
        )
    draft = Draft(source, defaults)
    switches: dict[str, tuple[str, list[str]]] = {}  # place, and the switches below
    for line, words in _lines(source):
        place = source.at(line)
        if (said := _settings(draft, place, words)) is not None:
            for name in _names(draft, place, said["switchname"]):
                if name in switches:
                    draft.problem(place, f"there is a switch {printable(name)} already")
                switches[name] = place, _names(draft, place, said.get("switches", ""))
                draft.node(name, place, {"kind": "switch"})
                _hosts(draft, place, name, _names(draft, place, said.get("nodes", "")))
    for name, (place, below) in switches.items():
        for other in below:
            if other in switches:
                draft.link(name, other, place, {})
            else:
                draft.problem(place, f"no switch {printable(other)}{draft.hint(other, switches)}")
    for name, level in _levels({name: below for name, (_, below) in switches.items()}).items():
        draft.graph.nodes[name]["level"] = level
    return draft.finish()


def _hosts(draft: Draft, place: str, switch: str, hosts: list[str]) -> None:
    """Hang *hosts* on *switch*; a host has one place in the tree."""
    for host in hosts:
        if host in draft.graph:
            draft.problem(place, f"{printable(host)} is listed twice")
        else:
            draft.node(host, place, {"kind": "host"})
            draft.link(switch, host, place, {})


def _lines(source: Source) -> Iterator[tuple[int, list[str]]]:
    """Words of every line that has some, continued lines joined under their first number."""
    words: list[str] = []
    start = 1
    for number, line in enumerate(source.lines(), 1):
        content = line.split("#")[0].rstrip()
        start = start if words else number
        words += content.removesuffix("\\").split()
        if words and not content.endswith("\\"):
            yield start, words
            words = []
    if words:
        yield start, words


def _settings(draft: Draft, place: str, words: list[str]) -> dict[str, str] | None:
    """Settings of a line, their names in small letters; None after a problem."""
    found: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        known = [name for name in KEYS if name.lower() == key.lower()]
        if not equals or not known:
            hint = suggestion(key, KEYS)
            draft.problem(place, f"{printable(word)} is no setting of a switch; {hint}")
            return None
        found[key.lower()] = value
    if not found.get("switchname"):
        draft.problem(place, "has no SwitchName")
        return None
    if not found.get("nodes") and not found.get("switches"):
        draft.problem(place, "needs Nodes or Switches below the switch")
    return found


def _names(draft: Draft, place: str, text: str) -> list[str]:
    try:
        return expand_hostlist(text) if text else []
    except TopologyError as error:
        draft.problem(place, str(error))
        return []


def _levels(below: dict[str, list[str]]) -> dict[str, int]:
    """One more than the highest switch below; what lies above a circle is missing or too low."""
    above: dict[str, list[str]] = {name: [] for name in below}
    waits_for = dict.fromkeys(below, 0)
    for name, others in below.items():
        for other in others:
            if other in above:
                above[other].append(name)
                waits_for[name] += 1
    ready = [name for name, count in waits_for.items() if not count]
    level = dict.fromkeys(ready, 0)
    for name in ready:  # which grows
        for other in above[name]:
            level[other] = max(level.get(other, 0), level[name] + 1)
            waits_for[other] -= 1
            if not waits_for[other]:
                ready.append(other)
    return level


def looks_like_slurm(text: str) -> bool:
    """Whether some line sets a SwitchName."""
    return re.search(r"^[ \t]*SwitchName[ \t]*=", text, re.I | re.M) is not None
