"""Routes of many messages at once: up the trees that hang off the core, through it, down.

Hosts and whole racks with one link hang off the rest of the network like leaves, and there
is one way to and from them.  What is left when they are stripped is the *core*, where
equally short ways exist; only there is anything searched, once per target's attachment.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from simulator.compiling import compiled, uncounted
from simulator.network.compiled.graph import NONE, Ints, Wiring, mixed


class Search(NamedTuple):
    """What a search backwards from one core node knows of the others, shape (V,).

    Attributes
    ----------
    seen
        Number of the last search that reached a node.
    level, delay
        Hops to the goal, and the least latency among ways with as few hops.
    ways, only
        How many next hops are equally short, and the direction of one of them.
    front
        Nodes in the order in which they were reached.
    """

    seen: Ints
    level: Ints
    delay: Ints
    ways: Ints
    only: Ints
    front: Ints


@uncounted
def pull(
    wiring: Wiring,
    found: Search,
    turn: int,
    height: int,
    budget: int,
    source: Ints,
    m: int,
    following: Ints,
) -> bool:
    """Are all messages from nodes next to level *height*?  Then note their ways there.

    A rack's uplinks are soon looked at, all links of a spine are not.  It gives up, and
    leaves no trace, after *budget* links.
    """
    seen, level, delay, ways, only, front = found
    looked, pulled, size = 0, 0, len(front)
    while m != NONE:
        w = wiring.anchor[source[m]]
        m = following[m]
        if seen[w] == turn:
            continue
        looked += wiring.out_first[w + 1] - wiring.out_first[w]
        ways[w] = 0
        if looked <= budget:
            for entry in range(wiring.out_first[w], wiring.out_first[w + 1]):
                v, edge = wiring.out_node[entry], wiring.out_edge[entry]
                if wiring.parent[v] == NONE and seen[v] == turn and level[v] == height:
                    along = delay[v] + wiring.delay[edge]
                    if ways[w] == 0 or along < delay[w]:
                        delay[w], only[w], ways[w] = along, edge, 1
                    elif along == delay[w]:
                        ways[w] += 1
        if ways[w] == 0:
            for place in range(pulled):
                seen[front[size - 1 - place]] = 0
            return False
        seen[w], level[w] = turn, height + 1
        front[size - 1 - pulled] = w  # the far end of the list is free until all are reached
        pulled += 1
    return True


@uncounted
def search(
    wiring: Wiring, found: Search, turn: int, goal: int, source: Ints, m: int, following: Ints
) -> int:
    """Search level by level from *goal* until it has reached where its messages come from.

    They are m, ``following[m]`` and so on.  Returns one that is not reached, or NONE.
    """
    seen, level, delay, ways, only, front = found
    seen[goal], level[goal], delay[goal], ways[goal] = turn, 0, 0, 0
    front[0] = goal
    low, high, height = 0, 1, 0
    while True:
        while m != NONE and seen[wiring.anchor[source[m]]] == turn:
            m = following[m]
        if m == NONE or low == high:
            return m
        middle, links = high, 0
        for place in range(low, middle):
            links += wiring.in_first[front[place] + 1] - wiring.in_first[front[place]]
        if pull(wiring, found, turn, height, links // 2, source, m, following):
            return NONE
        for place in range(low, middle):
            v = front[place]
            for entry in range(wiring.in_first[v], wiring.in_first[v + 1]):
                w, edge = wiring.in_node[entry], wiring.in_edge[entry]
                if wiring.parent[w] != NONE:  # hangs off the core
                    continue
                along = delay[v] + wiring.delay[edge]
                if seen[w] != turn:
                    seen[w], level[w], delay[w] = turn, level[v] + 1, along
                    ways[w], only[w] = 1, edge
                    front[high] = w
                    high += 1
                elif level[w] == level[v] + 1 and along <= delay[w]:
                    ways[w] = ways[w] + 1 if along == delay[w] else 1
                    delay[w], only[w] = along, edge
        low = middle
        height += 1


@uncounted
def walk(
    wiring: Wiring,
    found: Search,
    turn: int,
    ends: tuple[Ints, Ints],
    chain: tuple[int, Ints],
    by_target: bool,
    first: Ints,
    length: Ints,
    edges: Ints,
    used: int,
) -> int:
    """Write the routes of one chain of messages behind the *used* first entries of *edges*.

    Returns how many entries are used then.
    """
    source, target = ends
    m, following = chain
    while m != NONE:
        first[m], near, far = used, source[m], target[m]
        goal = wiring.anchor[far]
        if wiring.anchor[near] == goal:  # both hang on one core node: up to where they meet
            while near != far:
                if wiring.depth[near] >= wiring.depth[far]:
                    edges[used] = wiring.up[near]
                    used += 1
                    near = wiring.parent[near]
                else:
                    far = wiring.parent[far]
        else:
            while wiring.depth[near] > 0:
                edges[used] = wiring.up[near]
                used += 1
                near = wiring.parent[near]
            number = wiring.number[far]
            spread = 0 if by_target else mixed(wiring.number[source[m]] * 1_000_003 + number)
            while near != goal:
                edge = found.only[near]
                if found.ways[near] > 1:
                    left = (number if by_target else mixed(spread + near)) % found.ways[near]
                    for entry in range(wiring.out_first[near], wiring.out_first[near + 1]):
                        v, edge = wiring.out_node[entry], wiring.out_edge[entry]
                        if (
                            wiring.parent[v] == NONE
                            and found.seen[v] == turn
                            and found.level[v] == found.level[near] - 1
                            and found.delay[v] + wiring.delay[edge] == found.delay[near]
                        ):
                            if left == 0:
                                break
                            left -= 1
                edges[used] = edge
                used += 1
                near = wiring.head[edge]
        turned, far = used, target[m]
        while far != near:
            edges[used] = wiring.down[far]
            used += 1
            far = wiring.parent[far]
        for place in range((used - turned) // 2):
            one, other = turned + place, used - 1 - place
            edges[one], edges[other] = edges[other], edges[one]
        length[m] = used - first[m]
        m = following[m]
    return used


@compiled
def trace(
    wiring: Wiring, source: Ints, target: Ints, by_target: bool
) -> tuple[Ints, Ints, Ints, int]:
    """Routes of all messages.

    Parameters
    ----------
    wiring
        The topology.
    source, target
        Node numbers, shape (M,).
    by_target
        Among S equally short next hops take number (target's number) mod S; else one
        that a hash of source, target and switch gives.

    Returns
    -------
    first, length, edges
        Message m uses ``edges[first[m] : first[m] + length[m]]``.
    lost
        A message without a route, or NONE.
    """
    messages, nodes = len(source), len(wiring.parent)
    first, length = np.zeros(messages, np.int64), np.zeros(messages, np.int64)
    edges, used = np.empty(4 * messages + nodes, np.int64), 0
    found = Search(
        np.zeros(nodes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
        np.empty(nodes, np.int64),
    )
    # The messages to each attachment as a chain, in the order in which they are given.
    begin, following = np.full(nodes, NONE), np.full(messages, NONE)
    for m in range(messages - 1, -1, -1):
        goal = wiring.anchor[target[m]]
        following[m], begin[goal] = begin[goal], m
    turn = 0
    for m in range(messages):
        goal = wiring.anchor[target[m]]
        if begin[goal] != m:
            continue
        turn += 1
        lost = search(wiring, found, turn, goal, source, m, following)
        if lost != NONE:
            return first, length, edges, lost
        room, one = used, m  # no route is longer than up, across and down
        while one != NONE:
            near, far = source[one], target[one]
            room += wiring.depth[near] + wiring.depth[far] + found.level[wiring.anchor[near]]
            one = following[one]
        if room > len(edges):
            edges = np.concatenate((edges, np.empty(room, np.int64)))
        used = walk(
            wiring,
            found,
            turn,
            (source, target),
            (m, following),
            by_target,
            first,
            length,
            edges,
            used,
        )
    for m in range(messages):
        for edge in edges[first[m] : first[m] + length[m]]:
            if edge == NONE:  # a one-way link, against its direction
                return first, length, edges, m
    return first, length, edges[:used], NONE
