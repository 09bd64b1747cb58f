"""Slow and simple: what the compiled network is compared with, written another way."""

import heapq
import math

import networkx as nx
import numpy as np


def max_min(capacity, use, weights):
    """Weighted max-min fair rates by filling a dense matrix of use, one bottleneck at a time.

    ``use[f, e]`` is how many bytes a byte of flow f puts on link e.
    """
    left = np.array(capacity, float)
    rates, fixed = np.zeros(len(use)), np.zeros(len(use), bool)
    while not fixed.all():
        load = (use[~fixed] * np.asarray(weights)[~fixed, None]).sum(0)
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.where(load > 0, left / load, np.inf)
        full = np.argmin(level)
        stopped = ~fixed & (use[:, full] > 0)
        rates[stopped] = level[full] * np.asarray(weights)[stopped]
        left = np.maximum(0.0, left - (use[stopped] * rates[stopped, None]).sum(0))
        fixed |= stopped
    return rates


def finishes(capacity, flows):
    """When each of *flows* (start, latency, size, {link: use}, weight) is over, step by step."""
    ends, now = {}, 0.0
    shares_from = [start + latency for start, latency, *_ in flows]
    left = [size for _, _, size, _, _ in flows]
    while len(ends) < len(flows):
        for f, size in enumerate(left):
            if size == 0 and f not in ends and shares_from[f] <= now:
                ends[f] = max(now, shares_from[f])
        moving = [f for f in range(len(flows)) if f not in ends and shares_from[f] <= now]
        use = np.array([[flows[f][3].get(e, 0.0) for e in range(len(capacity))] for f in moving])
        rates = max_min(capacity, use, [flows[f][4] for f in moving]) if moving else []
        coming = [t for f, t in enumerate(shares_from) if f not in ends and t > now]
        over = [now + left[f] / r for f, r in zip(moving, rates, strict=True)]
        if not coming + over:
            break
        following = min(coming + over)
        for f, rate, end in zip(moving, rates, over, strict=True):
            left[f] = 0.0 if end <= following * (1 + 1e-13) else left[f] - rate * (following - now)
        now = following
        for f in moving:
            if left[f] == 0.0:
                ends[f] = now
    return [ends[f] for f in range(len(flows))]


def shortest(graph, source, target):
    """The route from *source* to *target*: hops, then latency, then d-mod-k, by nodes."""
    latency = dict.fromkeys(graph, math.inf)
    hops = dict(latency)
    hops[target], latency[target] = 0, 0.0
    queue = [(0, 0.0, target)]
    while queue:
        h, far, node = heapq.heappop(queue)
        if (h, far) != (hops[node], latency[node]):
            continue
        before = graph.pred[node] if graph.is_directed() else graph.adj[node]
        for other in before:
            along = h + 1, far + graph.edges[other, node]["latency"]
            if along < (hops[other], latency[other]):
                hops[other], latency[other] = along
                heapq.heappush(queue, (*along, other))
    if math.isinf(hops[source]):
        raise nx.NetworkXNoPath
    kind = graph.nodes[target]["kind"]
    number = [n for n, k in graph.nodes(data="kind") if k == kind].index(target)
    path = [source]
    while path[-1] != target:
        here = path[-1]
        best = [
            other
            for other in graph.adj[here]
            if hops[other] + 1 == hops[here]
            and math.isclose(
                latency[other] + graph.edges[here, other]["latency"], latency[here], rel_tol=1e-9
            )
        ]
        path.append(best[number % len(best)])
    return path


def rounds_by_rank(plan):
    """For every rank the rounds in which it has messages: lists of (round, repetition, message)."""
    steps = []
    for k, part in enumerate(plan.rounds):
        columns = part.source.tolist(), part.target.tolist(), part.nbytes.tolist()
        steps += [
            [((k, repetition), *end) for end in zip(*columns, strict=True)]
            for repetition in range(part.repeat)
        ]
    return steps


def played(plan, route, capacity, starts):
    """When each rank leaves *plan* if it enters at ``starts[rank]``, message by message.

    ``route(source, target)`` gives (latency, [links]) or None inside a node.
    """
    messages, at = [], [0] * plan.ranks
    agenda = [[] for _ in range(plan.ranks)]  # lists of message numbers, round by round
    for step in rounds_by_rank(plan):
        met = {}
        for _, source, target, nbytes in step:
            met.setdefault(source, []).append(len(messages))
            met.setdefault(target, []).append(len(messages))
            messages.append((source, target, nbytes))
        for rank, numbers in met.items():
            agenda[rank].append(numbers)
    entered = [None] * plan.ranks
    state, since, left = {}, {}, {}
    ends, now = {}, 0.0
    over = set()
    pending = sorted(range(plan.ranks), key=lambda r: starts[r])

    def here(rank, message):
        return (
            entered[rank] is not None
            and at[rank] < len(agenda[rank])
            and message in agenda[rank][at[rank]]
        )

    while len(ends) < plan.ranks:
        changed = True
        while changed:
            changed = False
            for rank in range(plan.ranks):
                if entered[rank] is None and starts[rank] <= now:
                    entered[rank] = now
                    changed = True
                while (
                    entered[rank] is not None
                    and rank not in ends
                    and at[rank] < len(agenda[rank])
                    and all(m in over for m in agenda[rank][at[rank]])
                ):
                    at[rank] += 1
                    changed = True
                if entered[rank] is not None and at[rank] == len(agenda[rank]) and rank not in ends:
                    ends[rank] = now
            for rank in range(plan.ranks):
                if entered[rank] is None or rank in ends:
                    continue
                for m in agenda[rank][at[rank]]:
                    source, target, nbytes = messages[m]
                    if m not in state and here(source, m) and here(target, m):
                        way = route(source, target)
                        state[m], left[m] = "latency", nbytes
                        since[m] = now if way is None else now + way[0]
                        changed = True
                        if way is None:
                            over.add(m)
        moving = [m for m in state if m not in over and since[m] <= now and left[m] > 0]
        for m in state:
            if m not in over and since[m] <= now and left[m] == 0:
                over.add(m)
        use = np.zeros((len(moving), len(capacity)))
        for row, m in enumerate(moving):
            for edge in route(*messages[m][:2])[1]:
                use[row, edge] += 1.0
        rates = max_min(capacity, use, np.ones(len(moving))) if moving else []
        coming = [since[m] for m in state if m not in over and since[m] > now]
        coming += [starts[r] for r in pending if entered[r] is None]
        done = [now + left[m] / rate for m, rate in zip(moving, rates, strict=True)]
        if not coming + done:
            continue
        following = min(coming + done)
        for m, rate, end in zip(moving, rates, done, strict=True):
            left[m] = 0.0 if end <= following * (1 + 1e-13) else left[m] - rate * (following - now)
            if left[m] == 0.0:
                over.add(m)
        now = following
    return [ends[rank] for rank in range(plan.ranks)]
