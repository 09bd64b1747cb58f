"""The arrays that the compiled loops work on: they grow, and hand out places in them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.network.compiled import records
from simulator.network.compiled.records import NONE, Fluid
from simulator.network.link import Links

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_BINS, BIN_CELLS = 128, 4_000_000  # of the history of each link direction
FIRST_WIDTH = 1e-3  # s; doubled whenever the time leaves the bins
ROWS = 1 << 16  # delivered messages between two visits


class Arena:
    """Flows, ranks and links of one network.

    Parameters
    ----------
    links
        The link directions of the topology.

    Attributes
    ----------
    fluid
        The arrays.  They are replaced when they grow.
    carriers
        Carrier and kind of every flow's messages, shape (flows, 2).
    amount, weight
        Bytes and weight of every flow, views on `fluid.flows`, shape (flows,).
    """

    def __init__(self, links: Links):
        directions = len(links.ends)
        bins = max(8, min(MOST_BINS, BIN_CELLS // max(1, directions)) // 2 * 2)
        self._used = dict.fromkeys(("flows", "hops", "links", "ranks", "entries", "refs"), 0)
        ints, floats = np.zeros(0, np.int64), np.zeros(0)
        self.fluid = Fluid(
            flows=np.recarray(0, records.FLOW),
            hops=np.recarray(0, records.HOP),
            links=np.recarray(0, records.LINK),
            ledger=np.zeros(directions, records.LEDGER).view(np.recarray),
            bins=np.zeros((directions, bins)),
            groups=np.recarray(0, records.GROUP),
            heap=ints,
            freed=ints,
            ranks=np.recarray(0, records.RANK),
            entries=np.recarray(0, records.ENTRY),
            refs=ints,
            results=ints,
            rows=np.recarray(0, records.ROW),
            spans=np.recarray(0, records.SPAN),
            arrived=ints,
            changed=ints,
            some_flows=ints,
            some_links=ints,
            levels=floats,
            order=ints,
            tally=np.zeros(1, records.TALLY).view(np.recarray),
        )
        self.carriers = np.zeros((0, 2), np.int64)
        self.amount, self.weight = np.zeros(0), np.zeros(0)
        tally = self.fluid.tally
        tally.turn, tally.recent, tally.width = 1, NONE, FIRST_WIDTH
        self.add_links(links.capacity)

    def add_links(self, capacity: Floats) -> int:
        """Bandwidths in B/s; returns the number of the first one."""
        first = self._take("links", len(capacity))
        new = self.fluid.links[first : first + len(capacity)]
        new.capacity, new.head, new.mark = capacity, NONE, 0
        return first

    def add_flows(
        self, first: Ints, length: Ints, size: Any, delay: Any, hops: dict[str, Any]
    ) -> int:
        """Flows that are not under way; returns the number of the first one.

        Parameters
        ----------
        first, length
            Flow i uses ``hops[first[i] : first[i] + length[i]]``.
        size, delay
            Bytes, and seconds before bandwidth is shared; numbers or one for each flow.
        hops
            Fields of the hops: link, direction, share.
        """
        count = len(first)
        hop = self._take("hops", len(hops["link"]))
        flow = self._take("flows", count)
        new = self.fluid.flows[flow : flow + count]
        new.amount, new.delay, new.weight = size, delay, 1.0
        new.first, new.last = hop + first, hop + first + length
        for name in ("lead", "following", "source", "target", "group"):
            new[name] = NONE
        new.width = 0
        new.jitters = new.recorded = 0
        new.limit = NONE
        steps = self.fluid.hops[hop : hop + len(hops["link"])]
        steps.link, steps.direction, steps.share = hops["link"], hops["direction"], hops["share"]
        order = np.argsort(first, kind="stable")
        steps.flow = np.repeat(flow + order, length[order])
        return flow

    def add_entries(self, entries: Any, refs: Ints) -> int:
        """Rounds of ranks; their ``first`` and ``last`` count from the beginning of *refs*."""
        at = self._take("refs", len(refs))
        self.fluid.refs[at : at + len(refs)] = refs
        first = self._take("entries", len(entries))
        new = self.fluid.entries[first : first + len(entries)]
        new[:] = entries
        new.first += at
        new.last += at
        return first

    def add_ranks(self, base: int, first: Ints, last: Ints) -> int:
        """Ranks whose flows begin at *base*, with rounds ``entries[first:last]``."""
        at = self._take("ranks", len(first))
        new = self.fluid.ranks[at : at + len(first)]
        new.origin, new.first, new.last, new.stage, new.hands_over = base, first, last, NONE, 0
        return at

    def _take(self, name: str, count: int) -> int:
        """Room for *count* more of one kind."""
        first = self._used[name]
        self._used[name] = first + count
        if self._used[name] > len(getattr(self.fluid, name)):
            self._grow(name, max(self._used[name], 2 * first))
        return first

    def _grow(self, name: str, size: int) -> None:
        sizes = {name: size}
        if name == "flows":
            sizes |= dict.fromkeys(("groups", "heap", "freed", "arrived", "some_flows"), size)
            sizes["rows"] = ROWS + 2 * size
            more = np.zeros((size - len(self.carriers), 2), np.int64)
            self.carriers = np.concatenate((self.carriers, more))
        if name == "links":
            sizes |= dict.fromkeys(("some_links", "levels", "order"), size)
            sizes["changed"] = size + 1
        if name == "ranks":
            sizes["spans"] = 8 * size + 64
        flows = sizes.get("flows", len(self.fluid.flows))
        sizes["results"] = flows + 2 * sizes.get("ranks", len(self.fluid.ranks)) + 1
        self.fluid = self.fluid._replace(
            **{field: _longer(getattr(self.fluid, field), to) for field, to in sizes.items()}
        )
        self.amount = self.fluid.flows["amount"].view(np.ndarray)
        self.weight = self.fluid.flows["weight"].view(np.ndarray)


def _longer(array: Any, size: int) -> Any:
    """*array* with room for *size* entries; new records are unused."""
    grown = np.zeros(size, array.dtype).view(type(array))
    grown[: len(array)] = array
    return grown
