"""Plans are proved right by replaying every message with sets."""

import numpy as np
import pytest

from simulator.network import COLLECTIVES, collectives

N = pytest.mark.parametrize("n", range(1, 18))
HOST_SIZES = pytest.mark.parametrize("size", [1, 3, 4])
EVERY = [(kind, name) for kind, makers in COLLECTIVES.items() for name in makers]


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
    """Every rank has its own contribution to every chunk."""
    return [[{rank} for _ in range(plan.chunks)] for rank in range(plan.ranks)]


def parts(plan):
    """Rank r has chunk r and nothing else."""
    return [
        [{rank} if chunk == rank else set() for chunk in range(plan.chunks)]
        for rank in range(plan.ranks)
    ]


def hosts(n, size):
    return [list(range(at, min(at + size, n))) for at in range(0, n, size)]


def plan_of(kind, name, n, size=4, nbytes=840.0):
    return COLLECTIVES[kind][name](hosts(n, size), nbytes)


@N
@HOST_SIZES
@pytest.mark.parametrize("name", COLLECTIVES["all-reduce"])
def test_all_reduce_gives_every_rank_every_contribution_once(name, n, size):
    plan = plan_of("all-reduce", name, n, size)
    assert all(chunk == set(range(n)) for rank in replay(plan, own(plan)) for chunk in rank)


@N
@pytest.mark.parametrize("megabytes", [2, 3, 9, 40, 1000])
def test_a_pipelined_double_tree_is_right_too(n, megabytes):
    """In every number of pieces, and a rank is an inner node of at most one tree."""
    plan = collectives.double_tree_all_reduce(n, megabytes * 2.0**20)
    assert plan.chunks == 2 * min(64, max(1, round(megabytes / 2)))
    assert all(chunk == set(range(n)) for rank in replay(plan, own(plan)) for chunk in rank)
    receives = {}
    for step in plan.moves():
        for m in step:
            if m.adds:
                receives.setdefault(m.target, set()).add(m.first < plan.chunks // 2)
    both = [rank for rank, trees in receives.items() if len(trees) == 2]
    assert len(both) <= 1


@N
@pytest.mark.parametrize("name", COLLECTIVES["reduce"])
def test_reduce(name, n):
    plan = plan_of("reduce", name, n)
    assert replay(plan, own(plan))[0][0] == set(range(n))
    assert plan.nbytes == 840.0 * (n - 1)
    assert plan.root == 0


@N
@pytest.mark.parametrize("name", COLLECTIVES["broadcast"])
def test_broadcast(name, n):
    plan = plan_of("broadcast", name, n)
    assert all(rank[0] == {0} for rank in replay(plan, own(plan)))
    assert plan.nbytes == 840.0 * (n - 1)
    assert plan.root == 0


@N
@pytest.mark.parametrize("name", COLLECTIVES["all-gather"])
def test_all_gather(name, n):
    plan = plan_of("all-gather", name, n)
    assert all(rank == [{r} for r in range(n)] for rank in replay(plan, parts(plan)))
    assert plan.nbytes == pytest.approx(840.0 * n * (n - 1))


@N
@pytest.mark.parametrize("name", COLLECTIVES["reduce-scatter"])
def test_reduce_scatter(name, n):
    plan = plan_of("reduce-scatter", name, n)
    held = replay(plan, own(plan))
    assert all(held[rank][rank] == set(range(n)) for rank in range(n))
    assert plan.nbytes == pytest.approx(840.0 * (n - 1))


@N
@pytest.mark.parametrize("name", COLLECTIVES["gather"])
def test_gather(name, n):
    plan = plan_of("gather", name, n)
    assert replay(plan, parts(plan))[0] == [{r} for r in range(n)]


@N
@pytest.mark.parametrize("name", COLLECTIVES["scatter"])
def test_scatter(name, n):
    plan = plan_of("scatter", name, n)
    start = [[{chunk} if rank == 0 else set() for chunk in range(n)] for rank in range(n)]
    held = replay(plan, start)
    assert all(held[rank][rank] == {rank} for rank in range(n))


@N
@pytest.mark.parametrize("name", COLLECTIVES["all-to-all"])
def test_all_to_all(name, n):
    plan = plan_of("all-to-all", name, n)
    start = [
        [{chunk} if chunk // n == rank else set() for chunk in range(n * n)] for rank in range(n)
    ]
    held = replay(plan, start)
    assert all(held[r][s * n + r] == {s * n + r} for r in range(n) for s in range(n))
    assert plan.nbytes == pytest.approx(840.0 * (n - 1))


@N
@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_rounds_are_the_moves(kind, name, n):
    """The compact rounds carry the same bytes between the same ranks as the messages."""
    nbytes = 5.04e6  # several pieces
    plan = plan_of(kind, name, n, nbytes=nbytes)
    whole = {"all-gather": n, "gather": n, "scatter": n, "all-to-all": n}.get(kind, 1) * nbytes
    chunk = whole / plan.chunks
    rounds = []
    for part in plan.rounds:
        ends = zip(part.source.tolist(), part.target.tolist(), part.nbytes.tolist(), strict=True)
        rounds += [by_pair(ends)] * part.repeat
    assert rounds == [
        pytest.approx(by_pair((m.source, m.target, (m.last - m.first) * chunk) for m in step))
        for step in plan.moves()
    ]


def by_pair(messages):
    """Bytes from each rank to each other, parts that go together added up."""
    total = {}
    for source, target, nbytes in messages:
        total[source, target] = total.get((source, target), 0.0) + nbytes
    return total


@N
@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_nobody_sends_to_itself_or_outside_the_group(kind, name, n):
    for part in plan_of(kind, name, n).rounds:
        assert (part.source != part.target).all()
        ends = np.concatenate((part.source, part.target))
        assert ends.min() >= 0
        assert ends.max() < n
        assert part.repeat >= 1


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_halving_doubling_sends_what_a_ring_sends_in_few_rounds(n):
    plan = collectives.halving_doubling_all_reduce(n, 100.0)
    assert sum(part.repeat for part in plan.rounds) == 2 * (n.bit_length() - 1)
    assert plan.nbytes == pytest.approx(collectives.ring_all_reduce(n, 100.0).nbytes)


def test_shared_transfers_are_one_object():
    """What is routed once must be recognised as the same."""
    plan = collectives.halving_doubling_all_reduce(16, 1.0)
    assert len({id(pairs) for part in plan.rounds for pairs, _ in part.transfers}) == 4


def test_pieces_follow_one_another():
    """Per-tensor: p tensors pay the latency of every round p times."""
    makers = [collectives.halving_doubling_all_reduce(8, nbytes) for nbytes in (8.0, 16.0, 16.0)]
    plan = collectives.in_sequence(makers)
    assert sum(part.repeat for part in plan.rounds) == 3 * 6
    assert plan.nbytes == pytest.approx(sum(make.nbytes for make in makers))
    assert all(chunk == set(range(8)) for rank in replay(plan, own(plan)) for chunk in rank)


def test_large_exchanges_are_made_round_by_round():
    plan = collectives.pairwise_all_to_all(4096, 4096.0)
    assert len(plan.rounds) == 4095
    assert plan.rounds[7].target[:2].tolist() == [8, 9]
    with pytest.raises(IndexError):
        plan.rounds[4095]
