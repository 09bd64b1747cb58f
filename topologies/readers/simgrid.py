"""SimGrid platforms: the part of them that is a graph."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

from simulator.errors import QuantityError, TopologyError, printable, suggestion
from simulator.units import parse
from topologies.attributes import LinkSpec
from topologies.readers.draft import Defaults, Draft
from topologies.readers.hostlist import expand_hostlist
from topologies.readers.source import Source
from topologies.readers.xml import Element, parse_xml

if TYPE_CHECKING:
    import networkx as nx

ZONES = ("zone", "AS")
# src, dst and gateways of routes inside and between zones
ENDS = {
    "route": ("src", "dst"),
    "zoneRoute": ("gw_src", "gw_dst"),
    "ASroute": ("gw_src", "gw_dst"),
    "bypassRoute": ("src", "dst"),
}
ASIDE = ("config", "prop", "disk", "storage", "storage_type", "mount", "trace", "trace_connect")
NO_GRAPH = (
    "lies elsewhere on another route; what many routes share in several places is no link of "
    "a graph, give every cable a link of its own"
)
DUPLEX = {"SHARED": "half", "SPLITDUPLEX": "full"}


def read_simgrid(source: Source, defaults: LinkSpec | Defaults | None) -> nx.Graph[str]:
    """Graph of a platform with `host`, `router`, `link`, `route`, `cluster` and zones.

    A route says which links it takes in turn, and so where each link lies: between its
    ends, and at meeting points in between, which become switches.  A platform in which
    one link lies in several places (a bus) is no graph and is refused.  A SHARED link,
    SimGrid's default, has one bandwidth for both directions (duplex: half).
    """
    platform = _Platform(source, defaults)
    platform.zone(parse_xml(source))
    for route in platform.routes:
        platform.walk(route)
    platform.lay()
    return platform.draft.finish()


class _Platform:
    """What a platform file has said so far."""

    def __init__(self, source: Source, defaults: LinkSpec | Defaults | None):
        self.source = source
        self.draft = Draft(source, defaults)
        self.links: dict[str, Element] = {}
        self.routes: list[Element] = []
        self.ends: dict[str, tuple[str, str]] = {}  # where each link lies
        self.junctions: dict[str, str | None] = {}  # and what they have turned out to be

    def problem(self, element: Element, message: str) -> None:
        self.draft.problem(self.source.at(element.line), message)

    def zone(self, element: Element) -> None:
        """Take in everything inside a platform or a zone; routes wait for all links."""
        for child in element.children:
            if child.tag in ZONES:
                self.zone(child)
            elif child.tag in ("host", "router"):
                kind = "host" if child.tag == "host" else "switch"
                self.node(child, child.get("id"), kind)
            elif child.tag == "link":
                if child.get("id") in self.links:
                    self.problem(child, f"there is a link {printable(child.get('id'))} already")
                self.links[child.get("id")] = child
            elif child.tag in ENDS:
                self.routes.append(child)
            elif child.tag == "cluster":
                self.cluster(child)
            elif child.tag not in ASIDE:
                known = ("host", "router", "link", "route", "cluster", "zone", "zoneRoute")
                self.problem(child, f"<{child.tag}> is not read; {suggestion(child.tag, known)}")

    def node(self, element: Element, name: str, kind: str) -> None:
        if name in self.draft.graph:
            self.problem(element, f"there is a node {printable(name)} already")
        else:
            self.draft.node(name, self.source.at(element.line), {"kind": kind})

    def cluster(self, element: Element) -> None:
        """A star: hosts with a link each to the cluster's router."""
        if element.get("topology", "FLAT") != "FLAT":
            given = printable(element.get("topology"))
            self.problem(element, f"topology {given} is not read; use kind torus, fat-tree, ...")
            return
        if element.get("bb_bw") or element.get("bb_lat"):
            self.problem(
                element,
                "a backbone through which all hosts reach each other is no link of a graph; "
                "leave out bb_bw and bb_lat",
            )
            return
        prefix, suffix = element.get("prefix"), element.get("suffix")
        router = element.get("router_id") or f"{prefix}{element.get('id')}_router{suffix}"
        try:
            numbers = expand_hostlist(f"[{element.get('radical')}]")
        except TopologyError as error:
            self.problem(element, f"radical: {error}")
            return
        self.node(element, router, "switch")
        policy = element.get("sharing_policy", "SPLITDUPLEX")
        said = self.said(element, element.get("bw"), element.get("lat"), policy)
        for number in numbers:
            host = f"{prefix}{int(number)}{suffix}"
            self.node(element, host, "host")
            self.draft.link(router, host, self.source.at(element.line), said)

    def said(self, element: Element, rate: str, delay: str, policy: str) -> dict[str, Any]:
        """Bandwidth, latency and duplex of a link; bare rates are in bytes per second."""
        if policy not in DUPLEX:
            hint = f"known: {', '.join(DUPLEX)} (a FATPIPE is shared by nobody)"
            self.problem(element, f"sharing_policy {printable(policy)} is not read; {hint}")
        said: dict[str, Any] = {"bandwidth": rate, "latency": delay}
        if (duplex := DUPLEX.get(policy, "full")) != "full":
            said["duplex"] = duplex
        if rate and rate[-1] in "0123456789.":
            with suppress(QuantityError):  # the draft says what is wrong with the text
                said["bandwidth"] = 8 * parse(rate, "bit/s")
        return said

    def walk(self, route: Element) -> None:
        """Follow a route from both ends over links that lie somewhere, and lay the others."""
        front, back = (route.get(key) for key in ENDS[route.tag])
        taken = [child for child in route.children if child.tag == "link_ctn"]
        if unknown := [name for name in (front, back) if name not in self.draft.graph]:
            self.problem(route, f"there is no host or router {printable(unknown[0])}")
            return
        if front == back:  # a loopback: messages to oneself take no time here
            return
        if not taken:
            self.problem(route, "takes no link; it needs a <link_ctn id=...>")
            return
        names = [self.name_of(child) for child in taken]
        for name, child in zip(names, taken, strict=True):
            if name not in self.links:
                hint = self.draft.hint(name, self.links)
                self.problem(child, f"there is no link {printable(name)}{hint}")
                return
        start, end = 0, len(names)
        while start < end and (after := self.cross(names[start], front)):
            front, start = after, start + 1
        while start < end and (before := self.cross(names[end - 1], back)):
            back, end = before, end - 1
        for name, child in zip(names[start:end], taken[start:end], strict=True):
            if name in self.ends:
                self.problem(child, f"link {printable(name)} {NO_GRAPH}")
                return
        for name in names[start : end - 1]:
            self.ends[name] = front, self.junction()
            front = self.ends[name][1]
        if start < end:
            self.ends[names[end - 1]] = front, back
        else:
            self.join(front, back, route)

    def name_of(self, taken: Element) -> str:
        """The link that a route takes; SimGrid knows the directions of a link by suffixes."""
        name = taken.get("id")
        return name if name in self.links else name.removesuffix("_UP").removesuffix("_DOWN")

    def junction(self) -> str:
        """A new meeting point of links."""
        number = len(self.junctions)
        while f"junction{number}" in self.draft.graph:
            number += 1
        self.junctions[f"junction{number}"] = None
        return f"junction{number}"

    def find(self, name: str) -> str:
        """The node that a meeting point has turned out to be, or itself."""
        while (same := self.junctions.get(name)) is not None:
            # half the way for those who come after
            self.junctions[name] = self.junctions.get(same) or same
            name = same
        return name

    def cross(self, name: str, here: str) -> str | None:
        """The other end of a link from *here*; None if it does not lie there."""
        ends = [self.find(end) for end in self.ends.get(name, ())]
        if self.find(here) not in ends:
            return None
        return ends[1] if self.find(here) == ends[0] else ends[0]

    def join(self, front: str, back: str, route: Element) -> None:
        """A route from both ends has met: the two points are one."""
        front, back = self.find(front), self.find(back)
        if front != back:
            if front not in self.junctions:
                front, back = back, front
            if front in self.junctions:
                self.junctions[front] = back
            else:
                self.problem(route, f"the route's last link {NO_GRAPH}")

    def lay(self) -> None:
        """Give the draft all links, now that it is clear where they lie."""
        for name, ends in self.ends.items():
            element = self.links[name]
            place = self.source.at(element.line)
            if self.find(ends[0]) == self.find(ends[1]):
                self.problem(element, f"link {printable(name)} {NO_GRAPH}")
                continue
            for end in map(self.find, ends):
                if end not in self.draft.graph:
                    self.draft.node(end, place, {"kind": "switch"})
            policy = element.get("sharing_policy", "SHARED")
            said = self.said(element, element.get("bandwidth"), element.get("latency"), policy)
            self.draft.link(self.find(ends[0]), self.find(ends[1]), place, said)
