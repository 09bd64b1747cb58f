"""Corners of plays: pieces, cuts, places used again, what happens at one instant."""

import numpy as np
import pytest

import topologies
from simulator.network import Choices, Group, collectives
from simulator.network import arena as arena_module
from simulator.network.collectives import Pairs, Plan, Round, Transfers
from simulator.network.conditions import Background
from simulator.network.payload import Bucketed, PerTensor
from simulator.network.surroundings import surround
from simulator.network.transfers import Transfer, deliveries, seconds_of
from tests.network.making import ALL, RATE, A, M, begin, made, star


@pytest.mark.parametrize("fidelity", ALL)
@pytest.mark.parametrize("payload", [PerTensor(), Bucketed(size=4e7)])
@pytest.mark.parametrize("operation", ["reduce", "broadcast"])
@pytest.mark.parametrize("shape", ["star", "tree"])
def test_rooted_operations_in_pieces(fidelity, payload, operation, shape):
    """Every piece pays its latency; in a star the root's NIC carries all copies."""
    network, env, _ = made(star(4), fidelity)
    how = Choices("ring", payload, 10)
    group = Group(network, topologies.worker_nodes(star(4)), M, "world", how)
    ends = {}

    def replica(rank):
        value = np.ones(1) if operation == "reduce" or rank == 0 else None
        yield getattr(group, operation)(rank, value, shape=shape)
        ends[rank] = env.now

    for rank in range(4):
        env.process(replica(rank))
    env.run()
    pieces = 10 if isinstance(payload, PerTensor) else 3
    rounds, copies = (1, 3) if shape == "star" else (2, 2)
    assert max(ends.values()) == pytest.approx(
        pieces * rounds * 2 * A + copies * M / RATE, rel=1e-9
    )


def test_a_play_that_is_cut_keeps_its_finished_intervals():
    """Ranks 0 and 1 exchange, then wait for 2 and 3, who never come."""
    network, env, _ = made(star(4))
    plan = collectives.recursive_doubling_all_reduce(4, M)
    prepared = network.prepare(plan, topologies.worker_nodes(star(4)), "world")
    events, _ = begin(network, prepared, [0.0, 1e-3, None, None])
    env.run(until=0.05)
    network.close(0.05)
    assert np.ravel(events[0].busy) == pytest.approx([1e-3, 1e-3 + 2 * A + M / RATE])
    network.close(0.06)  # again: nothing is counted twice
    link = network.links.index["host0", "switch0"]
    assert network.traffic(0.06).nbytes[link] == pytest.approx(M)
    assert network.traffic(0.06).busy_s[link] == pytest.approx(M / RATE)


def test_busy_is_what_a_rank_had_under_way_with_gaps_between():
    """Rank 2 comes late for the second exchange, so ranks 0 and 1 wait in between."""
    network, env, _ = made(star(4))
    plan = collectives.recursive_doubling_all_reduce(4, M)
    prepared = network.prepare(plan, topologies.worker_nodes(star(4)), "world")
    one = 2 * A + M / RATE
    for _ in range(2):  # the second play uses the places of the first
        start = env.now
        events, ends = begin(network, prepared, [0.0, 0.0, 0.5, 0.5])
        env.run()
        late = start + 0.5 + one
        assert np.ravel(events[0].busy) == pytest.approx([start, start + one, late, late + one])
        assert np.ravel(events[2].busy) == pytest.approx([start + 0.5, late + one])
        assert ends == pytest.approx(dict.fromkeys(range(4), late + one))


def test_a_place_used_again_begins_anew():
    """One round, twice; the second time a rank comes late and nothing may begin before it."""
    network, env, trace = made(star(2))
    plan = collectives.recursive_doubling_all_reduce(2, M)
    prepared = network.prepare(plan, ["host0", "host1"], "world")
    _, first = begin(network, prepared, [0.0, 0.0])
    env.run()
    _, second = begin(network, prepared, [0.0, 1.0])
    env.run()
    assert second[0] - first[0] == pytest.approx(1.0 + 2 * A + M / RATE)
    starts = trace.messages.columns()["start_s"]
    assert starts == pytest.approx([0.0, 0.0, first[0] + 1.0, first[0] + 1.0])


def test_two_plays_of_one_plan_at_the_same_time():
    """They share the links; both have places of their own."""
    network, env, _ = made(star(2))
    plan = collectives.recursive_doubling_all_reduce(2, M)
    prepared = network.prepare(plan, ["host0", "host1"], "world")
    _, one = begin(network, prepared, [0.0, 0.0])
    _, two = begin(network, prepared, [0.0, 0.0])
    env.run()
    assert [*one.values(), *two.values()] == pytest.approx([2 * A + 2 * M / RATE] * 4)


@pytest.mark.parametrize("same_instant", [True, False])
def test_a_clock_that_a_waiter_stops_can_go_on(same_instant):
    network, env, _ = made(star(4))
    one = network.send("host0", "host1", M)
    two = network.send("host2", "host3", M if same_instant else 2 * M)
    env.run(until=one)
    env.run()
    assert two.processed
    assert env.now == pytest.approx(2 * A + (M if same_instant else 2 * M) / RATE)


def test_those_who_are_told_at_one_instant_are_told_in_the_order_of_their_begin():
    network, env, _ = made(star(8))
    told = []
    for i in (3, 0, 2, 1):
        event = network.send(f"host{2 * i}", f"host{2 * i + 1}", M)
        event.callbacks.append(lambda _, i=i: told.append(i))
    env.run()
    assert told == [3, 0, 2, 1]


def test_what_begins_at_the_instant_of_a_delivery_is_settled_with_it():
    """An event of the clock at that very instant starts another transfer on the link."""
    network, env, _ = made(star(3))
    end = 2 * A + M / RATE
    ends = []

    def second():
        yield env.timeout(end)
        yield network.send("host0", "host2", M)
        ends.append(env.now)

    env.process(second())
    env.run(until=network.send("host0", "host1", M))
    assert env.now == end
    env.run()
    assert ends == pytest.approx([2 * end])


@pytest.mark.parametrize("fidelity", ["flow", "message"])
def test_places_of_messages_and_plays_are_used_again(fidelity):
    network, env, _ = made(star(3), fidelity)
    plan = collectives.ring_all_reduce(3, M)
    prepared = network.prepare(plan, topologies.worker_nodes(star(3)), "world")
    sizes = []
    for _ in range(30):
        begin(network, prepared, [0.0, 0.0, 0.0])
        network.send("host0", "host1", M)
        network.call("host0", "host1", 1.0, 1.0, lambda: None)
        env.run()
        sizes.append(dict(network.arena._used))
    assert sizes[0] == sizes[-1]


def test_a_book_that_is_full_is_emptied_on_the_way(monkeypatch):
    usual = rows_of(made(star(8)))
    monkeypatch.setattr(arena_module, "ROWS", 0)
    for name, column in rows_of(made(star(8))).items():
        np.testing.assert_array_equal(column, usual[name])
    assert len(usual["nbytes"]) == 14 * 8
    assert (usual["end_s"] - usual["start_s"]) == pytest.approx(2 * A + M / 8 / RATE)


def rows_of(network_env_trace):
    network, _, trace = network_env_trace
    plan = collectives.ring_all_reduce(8, M)
    seconds_of(network, plan, topologies.worker_nodes(network.router.graph))
    return trace.messages.columns()


def test_in_message_there_is_a_row_per_message_and_none_for_the_group():
    network, _, trace = made(star(2))
    seconds_of(network, collectives.ring_all_reduce(2, M), ["host0", "host1"])
    rows = trace.messages.columns()
    names = [network.carriers[c].source for c in rows["carrier"]]
    assert sorted(names) == ["host0", "host0", "host1", "host1"]
    assert rows["start_s"] == pytest.approx([0.0] * 2 + [2 * A + M / 2 / RATE] * 2)
    network, _, trace = made(star(2), record=False)
    seconds_of(network, collectives.ring_all_reduce(2, M), ["host0", "host1"])
    assert len(trace.messages) == 0
    assert network.traffic(0.0).sent == pytest.approx(2 * M)


def test_pushes_to_one_server_are_told_in_the_order_of_their_begin():
    """All share its link and end together, whatever order the links hold them in."""
    network, env, _ = made(star(6))
    told = []
    for i in (3, 5, 2, 1, 4):
        event = network.send(f"host{i}", "host0", M)
        event.callbacks.append(lambda _, i=i: told.append(i))
    env.run()
    assert told == [3, 5, 2, 1, 4]


@pytest.mark.parametrize("larger_first", [True, False])
def test_messages_of_two_sizes_in_one_round_are_one_flow(larger_first):
    """The larger one sets the pace, wherever it stands."""
    pairs = [Pairs(np.array([0]), np.array([1])), Pairs(np.array([2]), np.array([3]))]
    sizes = (2 * M, M) if larger_first else (M, 2 * M)
    part = Round(tuple(map(Transfers, pairs, sizes)), 3)
    plan = Plan("uneven all-reduce", 4, (part,), None, 1, lambda: iter(()))
    for fidelity in ALL:
        network, env, _ = made(star(4), fidelity)
        seconds = seconds_of(network, plan, topologies.worker_nodes(star(4)))
        assert seconds == pytest.approx(3 * (2 * A + 2 * M / RATE))
        network.close(env.now)
        assert network.traffic(env.now).sent == pytest.approx(9 * M)


def test_weights_are_shares():
    """Three shares against one; then the one alone.  Of background traffic too."""
    network, env, _ = made(star(3), "flow")
    heavy = network.send("host0", "host1", M, weight=3.0)
    light = network.send("host0", "host2", M)
    env.run()
    assert heavy.busy[0][1] == pytest.approx(2 * A + M / RATE * 4 / 3)
    assert light.busy[0][1] == pytest.approx(2 * A + 2 * M / RATE)
    again = network.send("host0", "host1", M)  # the place is used again, the weight is not
    other = network.send("host0", "host2", M)
    start = env.now
    env.run()
    assert [e.busy[0][1] - start for e in (again, other)] == pytest.approx(
        [2 * A + 2 * M / RATE] * 2
    )
    network, _, _ = made(star(2))
    surround(network, [], [Background("host0", "host1", weight=3.0)])
    (end,) = deliveries(network, [Transfer("host0", "host1", M, 0.0)])
    assert end.finish_s == pytest.approx(2 * A + 4 * M / RATE)
