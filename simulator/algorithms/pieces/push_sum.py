"""Push-sum: models that are given away in parts, each with its part of a weight.

Kempe, Dobra, Gehrke, Gossip-Based Computation of Aggregate Information, FOCS 2003.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from simpy.events import Event

from simulator.algorithms.pieces.graphs import hops
from simulator.cluster.accounting import Process
from simulator.cluster.job import Params
from simulator.engine.values import frozen
from simulator.network import Mail

WEIGHT_NBYTES = 4.0


@dataclass(frozen=True)
class Mass:
    """A numerator and its weight; their quotient is a model."""

    numerator: Params
    weight: float

    @cached_property
    def model(self) -> Params:
        """The de-biased parameters."""
        if self.weight == 1.0:
            return self.numerator
        return frozen((self.numerator / self.weight).astype(self.numerator.dtype))

    def __add__(self, other: Mass) -> Mass:
        return Mass(self.numerator + other.numerator, self.weight + other.weight)

    def part(self, share: float) -> Mass:
        """A share of both."""
        return Mass(frozen(share * self.numerator), share * self.weight)


class Peers:
    """Who gives to whom in which round.

    Parameters
    ----------
    mail
        Between all ranks.
    ranks
        How many there are.
    count
        Peers that a rank gives to in a round; fewer if there are not so many.
    both
        Whether they are ahead and behind in turn, or always ahead.

    Attributes
    ----------
    begun
        Rounds so far, by rank.
    """

    def __init__(self, mail: Mail, ranks: int, count: int, both: bool):
        self._mail, self._ranks = mail, ranks
        self._hops = hops(ranks, both)
        self._count = min(count, len(self._hops))
        self.begun = [0] * ranks
        self._ends = [0] * ranks  # how often each has taken its last step
        self._waits: list[Event] = []  # of those who have nothing left to do themselves
        self._nbytes = mail.nbytes + WEIGHT_NBYTES

    def distances(self, number: int) -> list[int]:
        """How far ahead the peers of round *number* are."""
        first = number * self._count
        return [self._hops[(first + k) % len(self._hops)] for k in range(self._count)]

    def give(self, rank: int, mass: Mass) -> tuple[Mass, list[Event]]:
        """Begin a round: what is kept of *mass*, and events of what the others give."""
        number = self.begun[rank]
        self.begun[rank] += 1
        self._tell()
        part = mass.part(1 / (self._count + 1))
        for distance in self.distances(number):
            self._mail.send(rank, (rank + distance) % self._ranks, part, self._nbytes)
        sources = [(rank - distance) % self._ranks for distance in self.distances(number)]
        return part, [self._mail.receive(rank, source) for source in sources]

    def go_on(self, rank: int, mass: Mass) -> Process:
        """Take part in what others begin, until all have taken their last step."""
        self._ends[rank] += 1
        self._tell()
        while min(self._ends) < self._ends[rank] or self.begun[rank] < max(self.begun):
            if self.begun[rank] < max(self.begun):
                mass = yield from taken(*self.give(rank, mass))
            else:
                self._waits.append(self._mail.env.event())
                yield self._waits[-1]
        return mass

    def _tell(self) -> None:
        waits, self._waits = self._waits, []
        for wait in waits:
            wait.succeed()


def taken(mass: Mass, gifts: Sequence[Event]) -> Process:
    """Wait for all *gifts*; they and *mass*."""
    for gift in gifts:
        mass = mass + (yield gift)
    return mass
