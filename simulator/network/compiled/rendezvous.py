"""Plans message by message: ranks that meet in rounds.

A message starts when both its ranks have entered its round, and a rank leaves a round when
all its messages are delivered.
"""

from __future__ import annotations

import math

from simulator.compiling import uncounted
from simulator.network.compiled.agenda import schedule
from simulator.network.compiled.graph import mixed
from simulator.network.compiled.records import NONE, WAITING, Fluid, Records


@uncounted
def _random_delay(tally: Records, stream: int, drawn: int) -> float:
    """An exponential delay that depends on the seed, the message and its count only."""
    bits = mixed(mixed(tally[0].seed + stream) * 2_147_483_659 + drawn)
    return -float(tally[0].jitter) * math.log((bits + 0.5) / 2_147_483_648.0)


@uncounted
def begin(net: Fluid, f: int) -> None:
    """Let flow *f* begin now: its latency first."""
    flow, now = net.flows[f], net.tally[0].now
    flow.state, flow.begin = WAITING, now
    delay = flow.delay
    if flow.jitters == 1 and net.tally[0].jitter > 0.0:
        flow.drawn += 1
        delay += _random_delay(net.tally, flow.stream, flow.drawn)
    schedule(net.flows, net.groups, net.heap, net.freed, net.tally, f, now + delay)
    for end in (flow.source, flow.target):
        if end != NONE:
            rank = net.ranks[end]
            if rank.active == 0 and (rank.used == 0 or rank.until < now):
                _close_interval(net, end)
                rank.since, rank.used = now, 1
            rank.active += 1


@uncounted
def begin_stage(net: Fluid, lead: int) -> None:
    """Let all flows of a stage begin now; a flow that is in none begins by itself."""
    net.flows[lead].pending = net.flows[lead].width
    begin(net, lead)
    for f in range(lead + 1, lead + net.flows[lead].width):
        begin(net, f)


@uncounted
def _close_interval(net: Fluid, r: int) -> None:
    """Note the interval in which rank *r* had messages under way, if there is one."""
    rank, count = net.ranks[r], net.tally[0]
    if rank.used == 1 and count.spans < len(net.spans):
        span = net.spans[count.spans]
        span.rank, span.begin, span.end = r, rank.since, rank.until
        count.spans += 1


@uncounted
def _take_up(net: Fluid, r: int) -> None:
    """Rank *r* has come to a round: begin the messages whose other end is there too."""
    rank = net.ranks[r]
    entry = net.entries[rank.entry]
    rank.stage, rank.pending = entry.stage, entry.last - entry.first
    for at in range(entry.first, entry.last):
        f = rank.origin + net.refs[at]
        other = net.ranks[net.flows[f].target if net.flows[f].source == r else net.flows[f].source]
        if other.stage == rank.stage and other.repetition == rank.repetition:
            begin(net, f)


@uncounted
def _leave(net: Fluid, r: int) -> None:
    rank, count = net.ranks[r], net.tally[0]
    _close_interval(net, r)
    rank.used, rank.stage = 0, NONE
    if rank.hands_over == 0:
        net.results[count.results] = -2 - r
        count.results += 1


@uncounted
def enter(net: Fluid, r: int) -> None:
    """Let rank *r* begin its play now."""
    rank, count = net.ranks[r], net.tally[0]
    rank.entry, rank.repetition, rank.active, rank.used = rank.first, 0, 0, 0
    if rank.hands_over == 1:
        net.results[count.results] = -2 - r
        count.results += 1
    if rank.first == rank.last:
        _leave(net, r)
    else:
        _take_up(net, r)


@uncounted
def go_on(net: Fluid, r: int) -> None:
    """One message of rank *r* is delivered; if it was the last of its round, go on."""
    rank = net.ranks[r]
    rank.active -= 1
    rank.until = net.tally[0].now
    rank.pending -= 1
    if rank.pending > 0:
        return
    if rank.repetition + 1 < net.entries[rank.entry].times:
        rank.repetition += 1
    else:
        rank.entry += 1
        rank.repetition = 0
        if rank.entry == rank.last:
            _leave(net, r)
            return
    _take_up(net, r)
