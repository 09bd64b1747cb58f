"""Who shares which links, at what rate, and what has been carried so far.

Only rates that may have changed are computed again: those of the connected components
that somebody has joined or left.
"""

from __future__ import annotations

import math

from simulator.compiling import uncounted
from simulator.network.compiled.agenda import schedule, unschedule
from simulator.network.compiled.records import MOVING, NONE, Fluid
from simulator.network.compiled.sharing import component, share_out


@uncounted
def link_up(net: Fluid, f: int) -> None:
    """Flow *f* begins to share its links."""
    flow, now = net.flows[f], net.tally[0].now
    flow.state, flow.remaining, flow.since, flow.rate = MOVING, flow.amount, now, 0.0
    flow.limit, flow.margin = NONE, 0.0
    for at in range(flow.first, flow.last):
        hop = net.hops[at]
        link = net.links[hop.link]
        hop.before, hop.after = NONE, link.head
        if link.head != NONE:
            net.hops[link.head].before = at
        link.head = at
        link.count += 1
        if hop.direction != NONE:
            entry = net.ledger[hop.direction]
            if entry.active == 0:
                entry.since = now
            entry.active += 1
    net.arrived[net.tally[0].arrived] = f
    net.tally[0].arrived += 1


@uncounted
def widen(net: Fluid) -> None:
    """Make the intervals of `bins` twice as long until they hold the present time."""
    tally, bins = net.tally[0], net.bins
    count = bins.shape[1]
    while tally.now > tally.width * count:
        tally.width *= 2.0
        for direction in range(bins.shape[0]):
            for at in range(count // 2):
                bins[direction, at] = bins[direction, 2 * at] + bins[direction, 2 * at + 1]
            bins[direction, count // 2 :] = 0.0


@uncounted
def carry(net: Fluid, f: int) -> None:
    """Enter what flow *f* has moved since its rate was set."""
    flow, now = net.flows[f], net.tally[0].now
    moved = flow.rate * (now - flow.since)
    if moved > 0.0:
        flow.remaining -= moved
        # Majority vote: the link that limits more than half of the bytes wins.
        flow.margin += moved if flow.full == flow.limit else -moved
        if flow.margin < 0.0:
            flow.limit, flow.margin = flow.full, -flow.margin
        widen(net)
        count, bins, width = net.bins.shape[1], net.bins, net.tally[0].width
        one = min(count - 1, int(flow.since / width))
        last = min(count - 1, int(now / width))
        for at in range(flow.first, flow.last):
            hop = net.hops[at]
            if hop.direction == NONE:
                continue
            net.ledger[hop.direction].carried += hop.share * moved
            if one == last:
                bins[hop.direction, one] += hop.share * moved
            else:
                for place in range(one, last + 1):
                    inside = min(now, (place + 1) * width) - max(flow.since, place * width)
                    bins[hop.direction, place] += hop.share * flow.rate * inside
    flow.since = now


@uncounted
def unlink(net: Fluid, f: int) -> None:
    """Flow *f* leaves its links; those that others are left on have changed."""
    flow, count = net.flows[f], net.tally[0]
    for at in range(flow.first, flow.last):
        hop = net.hops[at]
        link = net.links[hop.link]
        if hop.before == NONE:
            link.head = hop.after
        else:
            net.hops[hop.before].after = hop.after
        if hop.after != NONE:
            net.hops[hop.after].before = hop.before
        link.count -= 1
        if link.count > 0 and link.mark != -count.turn:
            link.mark = -count.turn
            net.changed[count.changed] = hop.link
            count.changed += 1
        if hop.direction != NONE:
            entry = net.ledger[hop.direction]
            entry.active -= 1
            if entry.active == 0:
                entry.busy += count.now - entry.since


@uncounted
def _fresh_rate(net: Fluid, f: int) -> None:
    """Give flow *f* the rate of the solution, and its end another place on the agenda."""
    flow = net.flows[f]
    if flow.fresh == flow.rate and flow.group != NONE:
        return
    carry(net, f)
    flow.rate = flow.fresh
    unschedule(net.flows, net.groups, net.heap, net.freed, net.tally, f)
    if flow.rate > 0.0 and flow.remaining < math.inf:
        due = net.tally[0].now + max(0.0, flow.remaining) / flow.rate
        schedule(net.flows, net.groups, net.heap, net.freed, net.tally, f, due)


@uncounted
def _solve(net: Fluid, start: int) -> None:
    """Rates of everything that shares with link *start*."""
    turn = net.tally[0].turn
    met, reached = component(
        net.flows, net.hops, net.links, net.some_flows, net.some_links, turn, start
    )
    share_out(
        net.flows,
        net.hops,
        net.links,
        net.some_flows,
        met,
        net.some_links,
        reached,
        net.levels,
        net.order,
        turn,
    )
    for at in range(met):
        _fresh_rate(net, net.some_flows[at])
    net.tally[0].solves += 1


@uncounted
def settle(net: Fluid) -> None:
    """Rates of all who share with somebody who has arrived, and with what was left."""
    count = net.tally[0]
    for at in range(count.arrived):
        f = net.arrived[at]
        flow = net.flows[f]
        if flow.mark == count.turn or flow.state != MOVING:
            continue
        alone, rate = True, math.inf
        for place in range(flow.first, flow.last):
            hop = net.hops[place]
            link = net.links[hop.link]
            alone = alone and link.count == 1
            if link.capacity / hop.share < rate:
                rate, flow.full = link.capacity / hop.share, hop.link
        if alone:
            flow.mark, flow.fresh = count.turn, rate
            _fresh_rate(net, f)
        else:
            _solve(net, net.hops[flow.first].link)
    for at in range(count.changed):
        link = net.changed[at]
        if net.links[link].mark != count.turn and net.links[link].count > 0:
            _solve(net, link)
    count.arrived, count.changed = 0, 0
    count.turn += 1
