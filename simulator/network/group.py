"""Groups: ranks that take part in collectives (MPI's communicator, PyTorch's process group).

The n-th call of every rank belongs together.  Every operation starts at once and
returns an event: yield it now to block, yield it later to overlap.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from simpy.events import Event

from simulator.engine import Deferred, in_order
from simulator.engine.values import frozen
from simulator.errors import GroupError
from simulator.network.choice import chosen, hosts_of
from simulator.network.collectives import COLLECTIVES, Collective, Plan, in_sequence
from simulator.network.fabric import Network, Play, Prepared
from simulator.network.payload import Fused, Payload

Array = NDArray[np.floating[Any]]
Parts = Iterator[Any]  # in rank order, each given once
Combine = Callable[[Parts], Any]
Merge = Callable[[Sequence[Any]], Any]
Shape = Literal["star", "tree"]
What = tuple[str, float, str]  # kind, bytes, shape


def total(parts: Parts) -> tuple[Array, int, np.dtype[Any]]:
    """Sum in the given order in float64, number of parts, and their dtype.

    Raises
    ------
    GroupError
        If nobody gave anything, or the shapes differ.
    """
    first = next(parts, None)
    if first is None:
        raise GroupError("no rank gave anything to add up")
    result, count = np.array(first, np.float64), 1
    for part in parts:
        if part.shape != result.shape:
            raise GroupError(f"ranks gave arrays of shapes {result.shape} and {part.shape}")
        result += part
        count += 1
    return result, count, first.dtype


def _sum(parts: Parts) -> Array:
    result, _, dtype = total(parts)
    return frozen(result.astype(dtype, copy=False))


def mean_of(parts: Parts) -> Array:
    """Mean of *parts* as every collective takes it: summed in order in float64, rounded once."""
    result, count, dtype = total(parts)
    return frozen((result / count).astype(dtype, copy=False))


def _wide_sum(parts: Parts) -> Array:
    return frozen(total(parts)[0])


def _merged(merge: Merge | None, otherwise: Combine) -> Combine:
    return otherwise if merge is None else lambda parts: merge(list(parts))


@dataclass(frozen=True)
class Choices:
    """How collectives are done.

    Attributes
    ----------
    all_reduce
        Algorithm of all-reduce, or ``"auto"`` for the cheapest by price.
    payload
        In how many pieces payloads are sent.
    tensors
        Of how many tensors a payload consists.
    """

    all_reduce: str = "auto"
    payload: Payload = field(default_factory=Fused)
    tensors: int = 1


class Call:
    """One collective: what the ranks gave so far and, once, what comes of it."""

    def __init__(self, combine: Combine, what: What):
        self.what = what
        self.parts: dict[int, Any] = {}
        self.joined = 0
        self.play: Play
        self._combine = combine
        self._value: Any = None
        self._known = False

    def value(self) -> Any:
        """What comes of it; the same however often it is asked for."""
        if not self._known:
            given = [self.parts[rank] for rank in sorted(self.parts)]
            self._value = self._combine(in_order([part for part in given if part is not None]))
            self._known, self.parts = True, {}
        return self._value


class Group:
    """Ordered ranks on the nodes of a network.

    Sums run in rank order in float64 and are rounded once to the dtype of what was
    given; only the rooted `reduce` hands float64 on.  All ranks receive the same
    read-only object.

    A contribution may be the event of a gradient instead of its value: the rank takes
    part from the moment at which it fires, and the gradient is evaluated when the sum is
    made, and not kept.  With many workers that is faster than waiting for it first.

    Parameters
    ----------
    network
        What carries the messages.
    nodes
        Node of every rank.
    nbytes
        Payload of an operation unless the call says otherwise, B.
    name
        For messages and results.
    how
        How collectives are done.

    Attributes
    ----------
    choices
        The all-reduce taken for each size, and why.
    """

    def __init__(
        self,
        network: Network,
        nodes: Sequence[str],
        nbytes: float,
        name: str,
        how: Choices = Choices(),
    ):
        self.network, self.nodes, self.name = network, list(nodes), name
        self.size, self.nbytes = len(self.nodes), nbytes
        self.choices: dict[float, str] = {}
        self._how = how
        self._calls = [0] * self.size
        self._open: dict[int, Call] = {}
        self._prepared: dict[tuple[str, float], Prepared] = {}
        self._hosts = hosts_of(network, self.nodes)

    def mean(self, rank: int, value: Array | Deferred, nbytes: float | None = None) -> Event:
        """Event whose value is the mean over all contributions."""
        return self._join("all-reduce", rank, value, mean_of, nbytes)

    def all_reduce(
        self,
        rank: int,
        value: Any,
        nbytes: float | None = None,
        merge: Merge | None = None,
        algorithm: str = "",
    ) -> Event:
        """Event whose value is the sum over all ranks, or what *merge* makes of the parts.

        *algorithm* names one of `COLLECTIVES`; without it the scenario's is taken.
        """
        return self._join("all-reduce", rank, value, _merged(merge, _sum), nbytes, algorithm)

    def reduce(
        self,
        rank: int,
        value: Any = None,
        nbytes: float | None = None,
        merge: Merge | None = None,
        shape: Shape = "star",
    ) -> Event:
        """Event whose value at rank 0 is the sum in float64; *value* is None for a mere receiver.

        Another rank is done when its own part is sent and gets None.
        """
        return self._join("reduce", rank, value, _merged(merge, _wide_sum), nbytes, shape)

    def broadcast(
        self, rank: int, value: Any = None, nbytes: float | None = None, shape: Shape = "star"
    ) -> Event:
        """Event whose value is the one that rank 0 gave.

        With ``shape="star"`` a rank is done when rank 0 is ready and it has joined
        itself; with ``"tree"`` a late rank also delays those that it passes the value to.
        """
        return self._join("broadcast", rank, value, next, nbytes, shape)

    def all_gather(
        self, rank: int, value: Any, nbytes: float | None = None, merge: Merge | None = None
    ) -> Event:
        """Event whose value is the tuple of all parts, or what every rank makes of them.

        *nbytes* is the size of one part.
        """
        return self._join("all-gather", rank, value, _merged(merge, tuple), nbytes)

    def reduce_scatter(self, rank: int, value: Array, nbytes: float | None = None) -> Event:
        """Event whose value is the sum, cut into one slice per rank; take your own."""
        return self._join(
            "reduce-scatter",
            rank,
            value,
            lambda parts: tuple(map(frozen, np.array_split(_sum(parts), self.size))),
            nbytes,
        )

    def barrier(self, rank: int) -> Event:
        """Event that fires when every rank has come here."""
        return self._join("barrier", rank, None, lambda parts: None, 0.0)

    def activate(self, rank: int) -> Event:
        """Event that fires when all ranks, who join at once, have heard of each other.

        It takes log2 N rounds of empty messages: how partial collectives begin.
        """
        return self._join("activation", rank, None, lambda parts: None, 0.0)

    def _join(
        self,
        kind: str,
        rank: int,
        value: Any,
        combine: Combine,
        nbytes: float | None,
        shape: str = "",
    ) -> Event:
        what = (kind, self.nbytes if nbytes is None else nbytes, shape)
        number = self._next_call(rank)
        call = self._open.get(number)
        if call is None:
            call = self._open[number] = Call(combine, what)
            call.play = self.begin(call)
        elif call.what != what:
            raise self._disagreement(call, what, number, rank)
        call.joined += 1
        play = call.play
        if call.joined == self.size:
            del self._open[number]
            del call.play  # which refers to this call
        leaving = play.wait(rank)
        if isinstance(value, Deferred):
            call.parts[rank] = value
            value.hand_over(lambda _: play.enter(rank))
        else:
            call.parts[rank] = frozen(value)
            play.enter(rank)
        return leaving

    def _disagreement(self, call: Call, what: What, number: int, rank: int) -> GroupError:
        return GroupError(
            f"call {number} of group {self.name!r}: rank {rank} asks for {what}, "
            f"others for {call.what}"
        )

    def begin(self, call: Call) -> Play:
        """Begin the collective of *call* among all ranks."""
        rooted = call.what[0] == "reduce"
        return self.network.play(
            self._plan(*call.what),
            call.what[0],
            lambda rank: call.value() if rank == 0 or not rooted else None,
        )

    def _next_call(self, rank: int) -> int:
        """Number of the call that *rank* makes now."""
        if not 0 <= rank < self.size:
            raise GroupError(
                f"group {self.name!r} has no rank {rank}; its ranks are 0..{self.size - 1}"
            )
        self._calls[rank] += 1
        return self._calls[rank] - 1

    def _plan(self, kind: str, nbytes: float, shape: str) -> Prepared:
        key = (kind + shape, nbytes)
        if key not in self._prepared:
            free = kind == "all-reduce" and not shape
            plan = self._choose(nbytes) if free else self._make(kind, nbytes, shape)
            self._prepared[key] = self.network.prepare(plan, self.nodes, self.name)
        return self._prepared[key]

    def _make(self, kind: str, nbytes: float, shape: str) -> Plan:
        if kind == "barrier":
            return COLLECTIVES["all-reduce"]["tree"](self._hosts, 0.0)
        if kind == "activation":
            return COLLECTIVES["all-reduce"]["recursive-doubling"](self._hosts, 0.0)
        return self._in_pieces(COLLECTIVES[kind][shape or "ring"], nbytes)

    def _in_pieces(self, make: Collective, nbytes: float) -> Plan:
        dense = nbytes == self.nbytes  # a bucket, or what was compressed, is one piece
        sizes = self._how.payload.pieces(nbytes, self._how.tensors if dense else 1)
        return in_sequence([make(self._hosts, size) for size in sizes])

    def _choose(self, nbytes: float) -> Plan:
        """The all-reduce that was asked for, or the cheapest one; says which and why."""
        plan, name, why = chosen(
            self.network,
            self.nodes,
            COLLECTIVES["all-reduce"],
            self._how.all_reduce,
            lambda make: self._in_pieces(make, nbytes),
        )
        self.choices[nbytes] = f"{name} for {nbytes:.6g} B, {why}"
        return plan
