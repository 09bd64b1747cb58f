"""Plans as flows: what the compiled loops play, made once and begun many times."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvalidInput
from simulator.network.collectives import Plan, Round
from simulator.network.compiled.records import ENTRY
from simulator.network.link import Links
from simulator.network.pricing import Placement

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

MOST_MESSAGES = 4_000_000


class Flows(NamedTuple):
    """Flows that can be entered into an arena, shape (flows,) each.

    Attributes
    ----------
    first, length
        Flow i uses ``hops[first[i] : first[i] + length[i]]``.
    size, delay
        Bytes, and seconds before bandwidth is shared.
    hops
        Fields of the hops.
    """

    first: Ints
    length: Ints
    size: Floats
    delay: Floats
    hops: dict[str, Any]


class Messages(NamedTuple):
    """A plan message by message.

    Attributes
    ----------
    flows
        One for each distinct message.
    source, target
        Ranks of each.
    entries, refs
        Rounds of the ranks one after the other, and the flows of each round.
    first, last
        Rank r has ``entries[first[r] : last[r]]``.
    """

    flows: Flows
    source: Ints
    target: Ints
    entries: Any
    refs: Ints
    first: Ints
    last: Ints


class Stages(NamedTuple):
    """A plan as few flows: those of a round begin together, and the next round after them.

    Attributes
    ----------
    flows
        Of all rounds, one after the other.
    width
        How many flows each round has, shape (rounds,).
    repeat, messages
        Of each flow the repetitions of its round, and its messages in one of them.
    """

    flows: Flows
    width: Ints
    repeat: Ints
    messages: Ints


def stages(plan: Plan, place: Placement, links: Links, overhead: float) -> Stages:
    """Few flows for each round of *plan*, with its repetitions: one for each latency.

    The rate of a flow is the rate of *one* of its messages: a link direction that n
    messages of the largest size cross at the same time is used n times over, and the
    size is that of the largest message times the repetitions.  Messages of different
    latency are flows of their own, so that near ones which wait for a busy link are not
    charged the latency of far ones as well.
    """
    classes: list[list[_Class]] = []
    for part in plan.rounds:
        found = _classes(part, place, len(links.ends), overhead)
        if classes and _alike(classes[-1], found):  # as the shifts of an all-to-all on a star
            classes[-1] = [
                one._replace(repeat=one.repeat + other.repeat)
                for one, other in zip(classes[-1], found, strict=True)
            ]
        else:
            classes.append(found)
    every = [one for found in classes for one in found]
    length = np.array([len(one.edges) for one in every], np.int64)
    edges = _joined([one.edges for one in every])
    repeat = np.array([one.repeat for one in every], np.int64)
    flows = Flows(
        np.cumsum(length) - length,
        length,
        repeat * np.array([one.size for one in every], float),
        repeat * np.array([one.delay for one in every], float),
        {
            "link": links.medium[edges],
            "direction": edges,
            "share": _joined([one.share for one in every], float),
        },
    )
    width = np.array([len(found) for found in classes], np.int64)
    return Stages(flows, width, repeat, np.array([one.messages for one in every], np.int64))


class _Class(NamedTuple):
    """The messages of a round with the same latency, in one repetition."""

    size: float  # of the largest message, B
    delay: float
    repeat: int
    messages: int
    edges: Ints
    share: Floats  # bytes on each of the edges per byte of the largest message


def _classes(part: Round, place: Placement, directions: int, overhead: float) -> list[_Class]:
    load: dict[float, Floats] = {}
    largest: dict[float, float] = {}
    count: dict[float, int] = {}
    exact: dict[float, float] = {}
    for pairs, nbytes in part.transfers:
        for alike in place(pairs):
            latency = float(f"{alike.latency:.9g}")
            exact[latency] = max(alike.latency, exact.get(latency, 0.0))
            load.setdefault(latency, np.zeros(directions))[alike.edges] += nbytes * alike.messages
            largest[latency] = max(nbytes, largest.get(latency, 0.0))
            count[latency] = count.get(latency, 0) + alike.total
    found = []
    for latency in sorted(load):
        size, edges = largest[latency], np.flatnonzero(load[latency])
        share = load[latency][edges] / (size or 1.0)
        delay = exact[latency] + overhead
        found.append(_Class(size, delay, part.repeat, count[latency], edges, share))
    inside = _Class(0.0, 0.0, part.repeat, 0, np.zeros(0, np.int64), np.zeros(0))
    return found or [inside]


def _alike(one: list[_Class], other: list[_Class]) -> bool:
    """Do two rounds load the same links with the same bytes?"""
    return len(one) == len(other) and all(
        (a.size, a.delay, a.messages) == (b.size, b.delay, b.messages)
        and np.array_equal(a.edges, b.edges)
        and np.array_equal(a.share, b.share)
        for a, b in zip(one, other, strict=True)
    )


def messages(plan: Plan, place: Placement, links: Links, overhead: float) -> Messages:
    """Every message of *plan* as a flow, and for every rank what it meets in each round.

    Raises
    ------
    InvalidInput
        If there are millions of distinct messages.
    """
    count = 0
    for part in plan.rounds:
        count += sum(len(pairs.source) for pairs, _ in part.transfers)
        if count > MOST_MESSAGES:
            raise InvalidInput(
                f"the {plan.name} of {plan.ranks} ranks has more than {MOST_MESSAGES:,} "
                "distinct messages; use network.fidelity: flow"
            )
    source, target, size, number = _listed(plan.rounds)
    routes = [place.routes(pairs) for part in plan.rounds for pairs, _ in part.transfers]
    starts = np.concatenate(([0], np.cumsum([len(r.edges) for r in routes]))).astype(np.int64)
    length = _joined([r.length for r in routes])
    edges = _joined([r.edges for r in routes])
    latency = _joined([r.latency for r in routes], float)
    flows = Flows(
        _joined([r.first + start for r, start in zip(routes, starts[:-1], strict=True)]),
        length,
        size,
        np.where(length > 0, latency + overhead, 0.0),
        {"link": links.medium[edges], "direction": edges, "share": np.ones(len(edges))},
    )
    return Messages(flows, source, target, *_rounds_of_ranks(plan, source, target, number))


def _joined(arrays: list[Any], dtype: Any = np.int64) -> Any:
    return np.concatenate(arrays) if arrays else np.zeros(0, dtype)


def _listed(rounds: Any) -> tuple[Ints, Ints, Floats, Ints]:
    """Source, target, bytes and round of every distinct message."""
    listed: list[Round] = list(rounds)
    numbers = [np.full(len(part.source), k) for k, part in enumerate(listed)]
    return (
        _joined([part.source for part in listed]),
        _joined([part.target for part in listed]),
        _joined([part.nbytes for part in listed], float),
        _joined(numbers),
    )


def _rounds_of_ranks(
    plan: Plan, source: Ints, target: Ints, number: Ints
) -> tuple[Any, Ints, Ints, Ints]:
    """Entries, refs, and where each rank's entries begin and end."""
    flows = np.arange(len(source))
    rank = np.concatenate((source, target))
    round_ = np.concatenate((number, number))
    flow = np.concatenate((flows, flows))
    order = np.lexsort((flow, round_, rank))
    rank, round_, flow = rank[order], round_[order], flow[order]
    new = np.ones(len(rank), bool)
    new[1:] = (rank[1:] != rank[:-1]) | (round_[1:] != round_[:-1])
    begins = np.flatnonzero(new)
    entries = np.zeros(len(begins), ENTRY)
    repeats = np.array([part.repeat for part in plan.rounds], np.int64)
    entries["stage"] = round_[begins]
    entries["times"] = repeats[round_[begins]]
    entries["first"] = begins
    entries["last"] = np.concatenate((begins[1:], [len(rank)])) if len(begins) else begins
    owners = rank[begins]
    ranks = np.arange(plan.ranks)
    return (
        entries,
        flow,
        np.searchsorted(owners, ranks, "left"),
        np.searchsorted(owners, ranks, "right"),
    )
