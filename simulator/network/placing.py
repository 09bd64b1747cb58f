"""Plans as flows: what the compiled loops play, made once and begun many times."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InvalidInput
from simulator.network.collectives import Plan, Round
from simulator.network.compiled.records import ENTRY
from simulator.network.link import Links
from simulator.network.pricing import Placement, latency_of, load_of

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


def stages(plan: Plan, place: Placement, links: Links, overhead: float) -> Flows:
    """One flow for each round of *plan*, with its repetitions.

    The rate of the flow is the rate of *one* message: a link direction that n messages of
    the largest size cross at the same time is used n times over, and the size is that of
    the largest message times the repetitions.
    """
    first, length, size, delay, parts = [], [], [], [], []
    used = 0
    for part in plan.rounds:
        load = load_of(part, place, len(links.ends))
        edges = np.flatnonzero(load)
        largest = max((nbytes for _, nbytes in part.transfers), default=0.0)
        outside = any(place(pairs).outside for pairs, _ in part.transfers)
        parts.append((edges, load[edges] / largest if largest else load[edges]))
        first.append(used)
        length.append(len(edges))
        used += len(edges)
        size.append(part.repeat * largest)
        delay.append(part.repeat * (latency_of(part, place) + (overhead if outside else 0.0)))
    edges = np.concatenate([edges for edges, _ in parts] or [np.zeros(0, np.int64)])
    share = np.concatenate([share for _, share in parts] or [np.zeros(0)])
    return Flows(
        np.array(first, np.int64),
        np.array(length, np.int64),
        np.array(size, float),
        np.array(delay, float),
        {"link": links.medium[edges], "direction": edges, "share": share},
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
    entries["round"] = round_[begins]
    entries["repeat"] = repeats[round_[begins]]
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
