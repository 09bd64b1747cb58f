"""The motion of all open transfers, from one instant to the next.

A transfer waits out its latency, then shares the bandwidth of its links max-min fairly
with all others until its bytes are delivered.  What happens at one instant is settled
together.
"""

from __future__ import annotations

import math

from simulator.compiling import uncounted
from simulator.network.compiled.agenda import take, unschedule
from simulator.network.compiled.rates import carry, link_up, settle, unlink, widen
from simulator.network.compiled.records import IDLE, MOVING, NONE, WAITING, Fluid, Ints
from simulator.network.compiled.rendezvous import begin_stage, enter, go_on

SAME_INSTANT = 1.0 + 1e-14  # times so near to each other are one


@uncounted
def _arrive(net: Fluid, f: int) -> None:
    """The latency of flow *f* is over: it shares its links from now on."""
    flow = net.flows[f]
    if flow.amount == 0.0 or flow.first == flow.last:
        _deliver(net, f)
    else:
        link_up(net, f)


@uncounted
def _deliver(net: Fluid, f: int) -> None:
    """Flow *f* is over: tell who waits for it."""
    flow, count = net.flows[f], net.tally[0]
    flow.state = IDLE
    count.delivered += 1
    if flow.source != NONE:
        if flow.first < flow.last and flow.amount > 0.0:  # inside a node nothing is sent
            count.sent += flow.amount
            if flow.recorded == 1 and count.rows < len(net.rows):
                row = net.rows[count.rows]
                row.flow, row.begin, row.end = f, flow.begin, count.now
                count.rows += 1
        go_on(net, flow.source)
        go_on(net, flow.target)
        return
    lead = f
    if flow.lead != NONE:
        lead = flow.lead
        net.flows[lead].pending -= 1
        if net.flows[lead].pending > 0:
            return
        if net.flows[lead].following != NONE:
            begin_stage(net, net.flows[lead].following)
            return
    net.results[count.results] = lead
    count.results += 1


@uncounted
def _instant(net: Fluid, now: float) -> None:
    """Everything that is due at *now*."""
    count = net.tally[0]
    count.now = max(count.now, now)
    while count.heap > 0 and net.groups[net.heap[0]].due <= count.now * SAME_INSTANT:
        f = take(net.groups, net.heap, net.freed, net.tally)
        while f != NONE:
            later = net.flows[f].later
            net.flows[f].group = NONE
            if net.flows[f].state == WAITING:
                _arrive(net, f)
            else:
                carry(net, f)
                unlink(net, f)
                _deliver(net, f)
            f = later
    settle(net)


@uncounted
def due_next(net: Fluid) -> float:
    """When something is due next."""
    return float(net.groups[net.heap[0]].due) if net.tally[0].heap > 0 else math.inf


@uncounted
def advance(net: Fluid, limit: float) -> None:
    """Go on until something has happened that somebody waits for, or it is *limit*.

    What falls due at *limit* itself is left alone.
    """
    count = net.tally[0]
    room = len(net.rows) - len(net.flows), len(net.spans) - 2 * len(net.ranks)
    while count.heap > 0 and count.results == 0:
        due = net.groups[net.heap[0]].due
        if due >= limit or count.rows > room[0] or count.spans > room[1]:
            break
        _instant(net, due)


@uncounted
def happen(
    net: Fluid, now: float, flows: Ints, ranks: Ints, limit: float
) -> tuple[float, float, int, int, int]:
    """Let *flows* begin and *ranks* enter at *now*, then go on until *limit* (`advance`).

    Returns the time that was reached, when something is due next, and how many entries
    there are in `results`, `spans` and `rows`, which the next call begins anew.
    """
    count = net.tally[0]
    count.now = max(count.now, now)
    count.results, count.spans, count.rows = 0, 0, 0
    for f in flows:
        begin_stage(net, f)
    for r in ranks:
        enter(net, r)
    if count.heap > 0 and net.groups[net.heap[0]].due <= count.now * SAME_INSTANT:
        _instant(net, count.now)
    advance(net, limit)
    return float(count.now), due_next(net), int(count.results), int(count.spans), int(count.rows)


@uncounted
def change(net: Fluid, now: float, link: int, capacity: float) -> float:
    """Give *link* another capacity at *now*; returns when something is due next."""
    count = net.tally[0]
    count.now = max(count.now, now)
    net.links[link].capacity = capacity
    if net.links[link].count > 0:
        net.changed[count.changed] = link
        count.changed += 1
        settle(net)
    return due_next(net)


@uncounted
def cancel(net: Fluid, now: float, f: int) -> float:
    """Take flow *f* out at *now*; nobody is told.  Returns when something is due next."""
    count = net.tally[0]
    count.now = max(count.now, now)
    unschedule(net.flows, net.groups, net.heap, net.freed, net.tally, f)
    if net.flows[f].state == MOVING:
        carry(net, f)
        unlink(net, f)
        settle(net)
    net.flows[f].state = IDLE
    return due_next(net)


@uncounted
def close(net: Fluid, now: float) -> None:
    """Enter what the transfers under way have moved until *now*."""
    count = net.tally[0]
    count.now = max(count.now, now)
    widen(net)
    for f in range(len(net.flows)):
        if net.flows[f].state == MOVING:
            carry(net, f)
    for direction in range(len(net.ledger)):
        entry = net.ledger[direction]
        if entry.active > 0:
            entry.busy += count.now - entry.since
            entry.since = count.now
