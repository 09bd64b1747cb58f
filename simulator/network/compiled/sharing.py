"""Max-min fair sharing: rates such that none can grow but at the cost of a smaller one.

Progressive filling (Bertsekas and Gallager, *Data Networks*, 2nd ed., section 6.5.2): the
level of all flows rises together until a link is full, whose flows then keep their rate,
weight times level; and so on with the rest.  A flow may use a link several times over
(`share`), as the round of a collective does that sends many messages across it.
"""

from __future__ import annotations

from simulator.compiling import uncounted
from simulator.network.compiled.records import NONE, Floats, Ints, Records

SAME_LEVEL = 1.0 + 1e-12  # levels so near to each other are one


@uncounted
def component(
    flows: Records,
    hops: Records,
    links: Records,
    some_flows: Ints,
    some_links: Ints,
    turn: int,
    start: int,
) -> tuple[int, int]:
    """Every moving flow and link that shares with link *start*, directly or not.

    They are written into *some_flows* and *some_links* and marked with *turn*; returns how
    many there are of each.
    """
    links[start].mark = turn
    some_links[0] = start
    met, reached, at = 0, 1, 0
    while at < reached:
        hop = links[some_links[at]].head
        at += 1
        while hop != NONE:
            f = hops[hop].flow
            if flows[f].mark != turn:
                flows[f].mark = turn
                some_flows[met] = f
                met += 1
                for other in range(flows[f].first, flows[f].last):
                    link = hops[other].link
                    if links[link].mark != turn:
                        links[link].mark = turn
                        some_links[reached] = link
                        reached += 1
            hop = hops[hop].after
    return met, reached


@uncounted
def _settle_down(levels: Floats, order: Ints, size: int, place: int) -> None:
    level, link = levels[place], order[place]
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        if below + 1 < size and levels[below + 1] < levels[below]:
            below += 1
        if levels[below] >= level:
            break
        levels[place], order[place] = levels[below], order[below]
        place = below
    levels[place], order[place] = level, link


@uncounted
def share_out(
    flows: Records,
    hops: Records,
    links: Records,
    some_flows: Ints,
    met: int,
    some_links: Ints,
    reached: int,
    levels: Floats,
    order: Ints,
    turn: int,
) -> None:
    """Write the fair rates of the first *met* of *some_flows* into their field `fresh`.

    The link that is full at that rate goes into `full`.  *some_links* are all the links
    that they use; *levels* and *order* are work space.
    """
    for at in range(reached):
        link = links[some_links[at]]
        link.left, link.load, link.open = link.capacity, 0.0, 0
    for at in range(met):
        flow = flows[some_flows[at]]
        for hop in range(flow.first, flow.last):
            link = links[hops[hop].link]
            link.load += hops[hop].share * flow.weight
            link.open += 1
    size = 0
    for at in range(reached):
        link = links[some_links[at]]
        if link.open > 0:
            levels[size], order[size] = link.left / link.load, some_links[at]
            size += 1
    for place in range(size // 2 - 1, -1, -1):
        _settle_down(levels, order, size, place)
    level, without = 0.0, met
    while without > 0:
        full = links[order[0]]
        if full.open > 0:
            now = full.left / full.load
            if now > levels[0] and now > level * SAME_LEVEL:  # flows fixed since have left some
                levels[0] = now
                _settle_down(levels, order, size, 0)
                continue
            if now > level * SAME_LEVEL:
                level = now
            hop = full.head
            while hop != NONE:
                flow = flows[hops[hop].flow]
                if flow.solved != turn:
                    flow.solved = turn
                    without -= 1
                    flow.fresh, flow.full = level * flow.weight, order[0]
                    for other in range(flow.first, flow.last):
                        link, share = links[hops[other].link], hops[other].share
                        link.left = max(0.0, link.left - share * flow.fresh)
                        link.load -= share * flow.weight
                        link.open -= 1
                hop = hops[hop].after
        size -= 1
        levels[0], order[0] = levels[size], order[size]
        _settle_down(levels, order, size, 0)
