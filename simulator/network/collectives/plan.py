"""Plans: a collective operation as plain data, rounds of transfers between ranks.

A plan is proved right by replaying it with sets (`Plan.moves`), priced by a cost model,
aggregated into loads on links, or played message by message.  Equal rounds are stored
once with a repeat count, so a ring over thousands of ranks is one row, and transfers that
several rounds have in common are one object, which is routed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Move(NamedTuple):
    """*source* sends chunks first..last-1 to *target*, who adds them or keeps them."""

    source: int
    target: int
    first: int
    last: int
    adds: bool


@dataclass(frozen=True, eq=False)
class Pairs:
    """Who sends to whom: ranks, shape (messages,) each.  Equal only to itself."""

    source: Ints
    target: Ints

    def turned(self) -> Pairs:
        """The way back."""
        return Pairs(self.target, self.source)


class Transfers(NamedTuple):
    """One message of *nbytes* for each of *pairs*."""

    pairs: Pairs
    nbytes: float


@dataclass(frozen=True, eq=False)
class Round:
    """Transfers that run at the same time, *repeat* times in succession."""

    transfers: tuple[Transfers, ...]
    repeat: int = 1

    @property
    def source(self) -> Ints:
        return np.concatenate([pairs.source for pairs, _ in self.transfers])

    @property
    def target(self) -> Ints:
        return np.concatenate([pairs.target for pairs, _ in self.transfers])

    @property
    def nbytes(self) -> Floats:
        return np.concatenate(
            [np.full(len(pairs.source), nbytes) for pairs, nbytes in self.transfers]
        )


@dataclass(frozen=True, eq=False)
class Plan:
    """One collective operation.

    Attributes
    ----------
    name
        Algorithm and operation, such as ``"ring all-reduce"``.
    ranks
        How many take part.
    rounds
        Distinct rounds in order, with repeat counts.
    root
        Rank at which a rooted operation ends or begins; None if all ranks are alike.
    chunks
        Into how many pieces the payload is cut.
    moves
        Enumerates every message, round by round, for proofs and for playing.
    root_waits
        Whether the root of a broadcast stays until the others have come; if not, it hands
        its value over and goes on.
    pieces
        Bytes of the payload, piece by piece, as it was asked for.
    """

    name: str
    ranks: int
    rounds: Sequence[Round]
    root: int | None
    chunks: int
    moves: Callable[[], Iterator[list[Move]]]
    root_waits: bool = True
    pieces: tuple[float, ...] = ()

    @property
    def kind(self) -> str:
        """The operation, without the algorithm."""
        return self.name.partition(" ")[2]

    @property
    def nbytes(self) -> float:
        """Bytes of all messages together."""
        return float(
            sum(
                r.repeat * len(pairs.source) * nbytes
                for r in self.rounds
                for pairs, nbytes in r.transfers
            )
        )


def uniform(pairs: Pairs, nbytes: float, repeat: int = 1) -> Round:
    """A round in which all messages have the same size."""
    return Round((Transfers(pairs, float(nbytes)),), repeat)


def in_sequence(plans: Sequence[Plan]) -> Plan:
    """One plan after the other, of the same kind: a payload that is sent in several pieces.

    >>> from simulator.network.collectives import ring_all_reduce
    >>> both = in_sequence([ring_all_reduce(4, 8.0), ring_all_reduce(4, 8.0)])
    >>> [(r.repeat, r.nbytes.tolist()) for r in both.rounds]
    [(12, [2.0, 2.0, 2.0, 2.0])]
    """
    if len(plans) == 1:
        return plans[0]
    rounds: list[Round] = []
    for part in (r for plan in plans for r in plan.rounds):
        last = rounds[-1] if rounds else None
        if last is not None and _same(last, part):
            rounds[-1] = Round(last.transfers, last.repeat + part.repeat)
        else:
            rounds.append(part)
    before = np.concatenate(([0], np.cumsum([plan.chunks for plan in plans]))).tolist()

    def moves() -> Iterator[list[Move]]:
        for plan, shift in zip(plans, before, strict=False):
            for step in plan.moves():
                yield [m._replace(first=m.first + shift, last=m.last + shift) for m in step]

    return replace(
        plans[0],
        rounds=tuple(rounds),
        chunks=before[-1],
        moves=moves,
        pieces=tuple(piece for plan in plans for piece in plan.pieces),
    )


def _same(one: Round, other: Round) -> bool:
    """Are these the same messages of the same size?"""
    return len(one.transfers) == len(other.transfers) and all(
        a.nbytes == b.nbytes
        and np.array_equal(a.pairs.source, b.pairs.source)
        and np.array_equal(a.pairs.target, b.pairs.target)
        for a, b in zip(one.transfers, other.transfers, strict=True)
    )
