"""What the compiled loops work on: arrays of records, all open transfers of a network.

Times in s, sizes in B, rates in B/s; NONE is a number that stands for nothing.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Records = Any  # numpy's record arrays have no static type
Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

NONE = -1
IDLE, WAITING, MOVING = 0, 1, 2  # states of a flow: not under way, in its latency, sharing

FLOW = np.dtype(
    [
        ("amount", "f8"),  # bytes of the message, or of all repetitions of a round's largest one
        ("delay", "f8"),  # latency before it shares bandwidth, s
        ("weight", "f8"),  # its rate is weight times the fair level
        ("first", "i8"),  # its hops are hops[first:last]
        ("last", "i8"),
        ("lead", "i8"),  # first flow of its stage, if it is part of one, or NONE
        ("width", "i8"),  # of a lead: how many flows its stage has,
        ("pending", "i8"),  # how many of them are under way,
        ("following", "i8"),  # and the lead of the stage after it, or NONE
        ("source", "i8"),  # places of the two ranks of a message of a plan, or NONE
        ("target", "i8"),
        ("state", "i8"),
        ("begin", "f8"),
        ("remaining", "f8"),  # bytes at time `since`
        ("since", "f8"),
        ("rate", "f8"),
        ("fresh", "f8"),  # its rate in the solution that is being made,
        ("full", "i8"),  # and the link that sets it
        ("limit", "i8"),  # the link that has set it for most of its bytes, or NONE
        ("margin", "f8"),  # by how many bytes it is ahead of the others
        ("mark", "i8"),  # turn in which it was last visited
        ("solved", "i8"),  # turn in which its rate was last fixed
        ("group", "i8"),  # where it stands in the agenda, or NONE
        ("earlier", "i8"),
        ("later", "i8"),
        ("recorded", "i8"),  # 1 if it is entered into `rows` when it is delivered
        ("jitters", "i8"),  # 1 if each time it has a random delay too
        ("stream", "i8"),  # where these come from,
        ("drawn", "i8"),  # and how many it has had
    ]
)
HOP = np.dtype(
    [
        ("link", "i8"),  # whose bandwidth it uses
        ("direction", "i8"),  # whose bytes it adds to, or NONE
        ("share", "f8"),  # bytes here per byte of the flow
        ("flow", "i8"),
        ("before", "i8"),  # other hops of moving flows on the link
        ("after", "i8"),
    ]
)
LINK = np.dtype(
    [
        ("capacity", "f8"),
        ("head", "i8"),  # first hop of a moving flow
        ("count", "i8"),  # how many there are
        ("mark", "i8"),
        ("left", "f8"),  # while a solution is made: bandwidth not given away yet,
        ("load", "f8"),  # weight of the flows without a rate,
        ("open", "i8"),  # and their hops
    ]
)
LEDGER = np.dtype([("carried", "f8"), ("busy", "f8"), ("since", "f8"), ("active", "i8")])
GROUP = np.dtype([("due", "f8"), ("head", "i8"), ("tail", "i8"), ("place", "i8")])
RANK = np.dtype(
    [
        ("origin", "i8"),  # first flow of its play
        ("first", "i8"),  # its rounds are entries[first:last]
        ("last", "i8"),
        ("hands_over", "i8"),  # 1: it leaves as soon as it has entered
        ("entry", "i8"),
        ("stage", "i8"),  # where it is: round and repetition; NONE before and after
        ("repetition", "i8"),
        ("pending", "i8"),  # messages of this round not delivered yet
        ("active", "i8"),  # own messages under way
        ("since", "f8"),  # the present interval with own messages under way
        ("until", "f8"),
        ("used", "i8"),  # 1 if there has been one
    ]
)
ENTRY = np.dtype([("stage", "i8"), ("times", "i8"), ("first", "i8"), ("last", "i8")])
ROW = np.dtype([("flow", "i8"), ("begin", "f8"), ("end", "f8")])
SPAN = np.dtype([("rank", "i8"), ("begin", "f8"), ("end", "f8")])
TALLY = np.dtype(
    [
        ("now", "f8"),
        ("heap", "i8"),  # groups in the agenda
        ("spare", "i8"),  # groups never used so far
        ("free", "i8"),  # groups given back (a stack in `freed`)
        ("recent", "i8"),  # group that was filled last
        ("turn", "i8"),
        ("results", "i8"),
        ("rows", "i8"),
        ("spans", "i8"),
        ("arrived", "i8"),
        ("changed", "i8"),
        ("solves", "i8"),
        ("delivered", "i8"),
        ("width", "f8"),  # seconds per bin of `bins`
        ("sent", "f8"),  # bytes of the messages of plans delivered so far
        ("jitter", "f8"),  # mean of the random delay of a message, s
        ("seed", "i8"),
    ]
)


class Fluid(NamedTuple):
    """All open transfers of a network.

    Attributes
    ----------
    flows, hops, links, ledger
        Transfers, their steps over links, bandwidths, and what each direction has carried.
    bins
        Bytes per direction and interval of time, shape (directions, bins).
    groups, heap, freed
        The agenda: flows with something due, in groups of the same instant, in a heap.
    ranks, entries, refs
        Ranks of plans under way; the rounds of each; the flows of each round.
    results
        What has happened that somebody waits for: the number of a flow, or -2 - r for
        the rank at place r.
    rows, spans
        Delivered messages, and intervals in which a rank had messages under way.
    arrived, changed
        Flows that have begun to share, and links that have been left, at this instant.
    some_flows, some_links, levels, order
        Work space of a solution.
    tally
        One record of counters.
    """

    flows: Records
    hops: Records
    links: Records
    ledger: Records
    bins: Floats
    groups: Records
    heap: Ints
    freed: Ints
    ranks: Records
    entries: Records
    refs: Ints
    results: Ints
    rows: Records
    spans: Records
    arrived: Ints
    changed: Ints
    some_flows: Ints
    some_links: Ints
    levels: Floats
    order: Ints
    tally: Records
