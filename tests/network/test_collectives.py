"""Plans are proved right by replaying every message with sets."""

import pytest

from simulator.network import ALL_REDUCE, collectives

N = pytest.mark.parametrize("n", range(1, 18))


def replay(plan, held):
    """Play *plan* on sets: held[rank][chunk] is a set of contributions."""
    for messages in plan.moves():
        sent = [(m, [set(held[m.source][c]) for c in range(m.first, m.last)]) for m in messages]
        for m, values in sent:
            for chunk, value in zip(range(m.first, m.last), values, strict=True):
                if m.adds:
                    assert not held[m.target][chunk] & value, "counted twice"
                    held[m.target][chunk] |= value
                else:
                    held[m.target][chunk] = set(value)
    return held


def own(plan):
    return [[{rank} for _ in range(plan.chunks)] for rank in range(plan.ranks)]


def hosts(n, size):
    return [list(range(at, min(at + size, n))) for at in range(0, n, size)]


@N
@pytest.mark.parametrize("name", ALL_REDUCE)
@pytest.mark.parametrize("size", [1, 3, 4])
def test_all_reduce_gives_every_rank_every_contribution_once(name, n, size):
    plan = ALL_REDUCE[name](hosts(n, size), 1000.0)
    everyone = set(range(n))
    assert all(chunk == everyone for rank in replay(plan, own(plan)) for chunk in rank)


@N
@pytest.mark.parametrize("shape", ["star", "tree"])
def test_rooted_operations(shape, n):
    reduce = collectives.REDUCE[shape](n, 10.0)
    assert replay(reduce, own(reduce))[0][0] == set(range(n))
    broadcast = collectives.BROADCAST[shape](n, 10.0)
    assert all(rank[0] == {0} for rank in replay(broadcast, own(broadcast)))
    assert reduce.nbytes == broadcast.nbytes == 10.0 * (n - 1)


@N
def test_ring_parts(n):
    scatter = collectives.ring_reduce_scatter(n, 100.0)
    held = replay(scatter, own(scatter))
    assert all(held[rank][rank] == set(range(n)) for rank in range(n))
    gather = collectives.ring_all_gather(n, 100.0)
    start = [[{rank} if chunk == rank else set() for chunk in range(n)] for rank in range(n)]
    assert all(rank[chunk] == {chunk} for rank in replay(gather, start) for chunk in range(n))


@N
@pytest.mark.parametrize("name", ALL_REDUCE)
def test_rounds_are_the_moves(name, n):
    """The compact rounds carry the same bytes between the same ranks as the messages."""
    plan = ALL_REDUCE[name](hosts(n, 4), 840.0)
    messages, rounds = list(plan.moves()), []
    for part in plan.rounds:
        pairs = sorted(
            zip(part.source.tolist(), part.target.tolist(), part.nbytes.tolist(), strict=True)
        )
        rounds += [pairs] * part.repeat
    chunk = 840.0 / plan.chunks
    assert rounds == [
        sorted((m.source, m.target, pytest.approx((m.last - m.first) * chunk)) for m in step)
        for step in messages
    ]
