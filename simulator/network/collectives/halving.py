"""Exchanges with partners at distances 1, 2, 4, ...: few rounds."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from simulator.network.collectives.plan import Ints, Move, Pairs, Plan, uniform


def _folded(n: int) -> tuple[Ints, list[Pairs]]:
    """The ranks that exchange, a power of two of them, and the pairs of those left over.

    Of the first 2(n - p) ranks, p being the largest power of two up to n, the even ones
    hand their payload to the next rank first and receive the result from it in the end.
    """
    power = 1 << (n.bit_length() - 1)
    extra = 2 * np.arange(n - power)
    core = np.concatenate((extra + 1, np.arange(2 * (n - power), n)))
    return core, [Pairs(extra, extra + 1)] if n > power else []


def _exchanges(core: Ints) -> list[Pairs]:
    """Everybody in *core* and the partner at distance 1, then 2, then 4, ..."""
    places = np.arange(len(core))
    return [Pairs(core, core[places ^ (1 << k)]) for k in range(len(core).bit_length() - 1)]


def _moves(pairs: Pairs, first: int, last: int, adds: bool) -> list[Move]:
    ends = zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)
    return [Move(a, b, first, last, adds) for a, b in ends]


def recursive_doubling_all_reduce(n: int, nbytes: float) -> Plan:
    """The whole payload to the partner at distance 1, 2, 4, ...: log2 n rounds.

    Where *n* is no power of two, two more rounds fold the ranks beyond one in and out.
    """
    core, extra = _folded(n)
    exchanges = _exchanges(core)
    back = [pairs.turned() for pairs in extra]
    rounds = [uniform(pairs, nbytes) for pairs in (*extra, *exchanges, *back)]

    def moves() -> Iterator[list[Move]]:
        for pairs in (*extra, *exchanges):
            yield _moves(pairs, 0, 1, True)
        for pairs in back:
            yield _moves(pairs, 0, 1, False)

    return Plan("recursive-doubling all-reduce", n, tuple(rounds), None, 1, moves)


def halving_doubling_all_reduce(n: int, nbytes: float) -> Plan:
    """Reduce-scatter by recursive halving, all-gather by recursive doubling.

    Rabenseifner's algorithm ("Optimization of collective reduction operations", ICCS
    2004): the partner at distance 1 gets half of the payload, the one at distance 2 a
    quarter, and so on; then the same way back.
    """
    core, extra = _folded(n)
    power = len(core)
    exchanges, back = _exchanges(core), [pairs.turned() for pairs in extra]
    halves = [uniform(p, nbytes / (2 << k)) for k, p in enumerate(exchanges)]
    rounds = (
        [uniform(pairs, nbytes) for pairs in extra]
        + halves
        + halves[::-1]
        + [uniform(pairs, nbytes) for pairs in back]
    )

    def span(place: int, steps: int) -> tuple[int, int]:
        """Chunks that a rank is responsible for after so many halvings."""
        first, size = 0, power
        for k in range(steps):
            size //= 2
            first += size * (place >> k & 1)
        return first, first + size

    def moves() -> Iterator[list[Move]]:
        steps = len(exchanges)
        for pairs in extra:
            yield _moves(pairs, 0, power, True)
        for k in range(steps):
            mates = [place ^ (1 << k) for place in range(power)]
            yield [
                Move(int(core[a]), int(core[b]), *span(b, k + 1), True) for a, b in enumerate(mates)
            ]
        for k in reversed(range(steps)):
            mates = [place ^ (1 << k) for place in range(power)]
            yield [
                Move(int(core[a]), int(core[b]), *span(a, k + 1), False)
                for a, b in enumerate(mates)
            ]
        for pairs in back:
            yield _moves(pairs, 0, power, False)

    return Plan("halving-doubling all-reduce", n, tuple(rounds), None, power, moves)


def doubling_all_gather(n: int, nbytes: float) -> Plan:
    """All parts in ceil(log2 n) rounds, for any n; *nbytes* is one rank's part.

    In round k every rank sends the parts it has, at most n - 2^k of them, to the rank 2^k
    before it (Bruck et al., IEEE TPDS 8, 1997).
    """
    ranks, gap, rounds, steps = np.arange(n), 1, [], []
    while gap < n:
        count = min(gap, n - gap)
        rounds.append(uniform(Pairs(ranks, (ranks - gap) % n), nbytes * count))
        steps.append((gap, count))
        gap *= 2

    def moves() -> Iterator[list[Move]]:
        for gap, count in steps:
            yield [
                Move(rank, (rank - gap) % n, chunk % n, chunk % n + 1, False)
                for rank in range(n)
                for chunk in range(rank, rank + count)
            ]

    return Plan("doubling all-gather", n, tuple(rounds), None, n, moves)
