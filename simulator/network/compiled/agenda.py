"""The agenda: when what is due, as a heap of groups of flows that are due together.

In a collective thousands of messages fall due at the same instant; they stand in one
group, so that the heap is touched once.
"""

from __future__ import annotations

from simulator.compiling import uncounted
from simulator.network.compiled.records import NONE, Ints, Records


@uncounted
def _rise(groups: Records, heap: Ints, place: int) -> None:
    group, due = heap[place], groups[heap[place]].due
    while place > 0:
        above = (place - 1) >> 1
        if groups[heap[above]].due <= due:
            break
        heap[place] = heap[above]
        groups[heap[place]].place = place
        place = above
    heap[place] = group
    groups[group].place = place


@uncounted
def _sink(groups: Records, heap: Ints, size: int, place: int) -> None:
    group, due = heap[place], groups[heap[place]].due
    while True:
        below = 2 * place + 1
        if below >= size:
            break
        if below + 1 < size and groups[heap[below + 1]].due < groups[heap[below]].due:
            below += 1
        if groups[heap[below]].due >= due:
            break
        heap[place] = heap[below]
        groups[heap[place]].place = place
        place = below
    heap[place] = group
    groups[group].place = place


@uncounted
def _drop(groups: Records, heap: Ints, freed: Ints, tally: Records, group: int) -> None:
    """Take *group* out of the heap and give it back."""
    count = tally[0]
    count.heap -= 1
    place, last = groups[group].place, heap[count.heap]
    if last != group:
        heap[place] = last
        groups[last].place = place
        _rise(groups, heap, place)
        _sink(groups, heap, count.heap, groups[last].place)
    groups[group].head = NONE
    freed[count.free] = group
    count.free += 1
    if count.recent == group:
        count.recent = NONE


@uncounted
def unschedule(
    flows: Records, groups: Records, heap: Ints, freed: Ints, tally: Records, f: int
) -> None:
    """Take flow *f* off the agenda, if it is on it."""
    flow = flows[f]
    group = flow.group
    if group == NONE:
        return
    if flow.earlier == NONE:
        groups[group].head = flow.later
    else:
        flows[flow.earlier].later = flow.later
    if flow.later == NONE:
        groups[group].tail = flow.earlier
    else:
        flows[flow.later].earlier = flow.earlier
    flow.group = NONE
    if groups[group].head == NONE:
        _drop(groups, heap, freed, tally, group)


@uncounted
def schedule(
    flows: Records,
    groups: Records,
    heap: Ints,
    freed: Ints,
    tally: Records,
    f: int,
    due: float,
) -> None:
    """Enter flow *f*, which is not on the agenda."""
    flow, count = flows[f], tally[0]
    group = count.recent
    if group != NONE and groups[group].due == due:
        flow.earlier = groups[group].tail
        flows[flow.earlier].later = f
    else:
        if count.free > 0:
            count.free -= 1
            group = freed[count.free]
        else:
            group = count.spare
            count.spare += 1
        groups[group].due, groups[group].head = due, f
        flow.earlier = NONE
        heap[count.heap] = group
        count.heap += 1
        _rise(groups, heap, count.heap - 1)
        count.recent = group
    groups[group].tail = f
    flow.group, flow.later = group, NONE


@uncounted
def take(groups: Records, heap: Ints, freed: Ints, tally: Records) -> int:
    """The first flow of the group that is due next, which leaves the agenda."""
    group = heap[0]
    head = int(groups[group].head)
    _drop(groups, heap, freed, tally, group)
    return head
