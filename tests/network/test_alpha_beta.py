"""Prices against closed forms, queues at NICs, and who leaves a collective when."""

import numpy as np
import pytest

import topologies
from simulator.engine import Clock, Trace
from simulator.errors import TopologyError
from simulator.network import COLLECTIVES, AlphaBeta, Choices, Group, collectives
from topologies import LinkSpec, Star, TwoLevel

M = 1e8
FAST = LinkSpec(100e9, 5e-6)


def star(n, gpus=0, nic=FAST, inside=FAST):
    """A network on a star, its clock and its worker nodes."""
    graph = Star(n, gpus, nic, inside).build()
    env = Clock()
    return AlphaBeta(env, graph, Trace().messages), env, topologies.worker_nodes(graph)


@pytest.mark.parametrize(
    ("n", "seconds"), [(8, 0.014140), (64, 0.017010), (256, 0.0210375), (1024, 0.036444375)]
)
def test_ring_on_a_star(n, seconds):
    """2(N-1)(a + M/(N B)): the values that two other simulators agree on."""
    network, _, nodes = star(n)
    assert network.price(collectives.ring_all_reduce(n, M), nodes).seconds == pytest.approx(
        seconds, rel=1e-9
    )


@pytest.mark.parametrize(
    ("hosts", "per_leaf", "seconds"), [(64, 8, 0.018270), (256, 16, 0.0261375)]
)
def test_ring_on_a_two_level_tree(hosts, per_leaf, seconds):
    """The ring's pace is set by the hosts whose neighbour sits in another rack."""
    graph = TwoLevel(hosts, 0, per_leaf, 1.0, FAST, FAST).build()
    network = AlphaBeta(Clock(), graph, Trace().messages)
    plan = collectives.ring_all_reduce(hosts, M)
    price = network.price(plan, topologies.worker_nodes(graph))
    assert price.seconds == pytest.approx(seconds, rel=1e-6)


@pytest.mark.parametrize("n", [2, 4, 8, 32])
def test_trees_on_a_star(n):
    network, _, nodes = star(n)
    rounds = n.bit_length() - 1
    one = 10e-6 + M * 8 / 100e9
    assert network.price(collectives.tree_reduce(n, M), nodes).seconds == pytest.approx(
        rounds * one
    )
    assert network.price(collectives.tree_all_reduce(n, M), nodes).seconds == pytest.approx(
        2 * rounds * one
    )
    star_all = network.price(collectives.star_reduce(n, M), nodes).seconds
    assert star_all == pytest.approx(10e-6 + (n - 1) * M * 8 / 100e9)


def test_ranks_of_a_host_share_its_nic():
    """A ring in host order crosses each NIC once; ranks dealt round robin, once per GPU."""
    nic = LinkSpec(10e9, 5e-6)
    network, _, nodes = star(4, gpus=4, nic=nic)
    ring = collectives.ring_all_reduce(16, M)
    chunk = M / 16 * 8 / 10e9
    ordered = network.price(ring, nodes)
    dealt = network.price(ring, [nodes[4 * (r % 4) + r // 4] for r in range(16)])
    assert ordered.seconds == pytest.approx(30 * (20e-6 + chunk))
    assert dealt.seconds == pytest.approx(30 * (20e-6 + 4 * chunk))


def test_messages_inside_a_node_are_free():
    network, _, nodes = star(2)
    plan = collectives.ring_all_reduce(4, M)
    price = network.price(plan, [nodes[0], nodes[0], nodes[1], nodes[1]])
    assert price.nbytes == pytest.approx(6 * 2 * M / 4)
    assert network.price(plan, [nodes[0]] * 4).seconds == 0


def test_oversubscription_shows_in_the_fullest_link():
    graph = TwoLevel(8, 0, 4, 4.0, FAST, FAST).build()
    network = AlphaBeta(Clock(), graph, Trace().messages)
    nodes = topologies.worker_nodes(graph)
    crossing = collectives.star_reduce(5, M)  # ranks 1..4 sit in the other rack
    price = network.price(crossing, [nodes[0], *nodes[4:]])
    assert price.seconds == pytest.approx(20e-6 + 4 * M * 8 / 100e9)
    uplink = network.links.index["leaf1", "core0"]
    assert dict(zip(price.edges, price.load, strict=True))[uplink] == pytest.approx(4 * M)


def test_a_message_takes_latency_and_bytes_over_bandwidth():
    network, env, nodes = star(3)
    env.run(until=network.send(nodes[0], nodes[1], M))
    assert env.now == pytest.approx(10e-6 + M * 8 / 100e9)


def test_messages_queue_at_both_nics():
    network, _, nodes = star(4)
    x, a = M * 8 / 100e9, 10e-6
    ends = [
        network.send(*pair, M)
        for pair in ((nodes[0], nodes[1]), (nodes[0], nodes[2]), (nodes[3], nodes[2]))
    ]
    times = [event.busy[0][1] for event in ends]
    assert times == pytest.approx([a + x, a + 2 * x, a + 3 * x])
    assert ends[2].busy[0][0] == pytest.approx(2 * x)  # begins when the NIC is free


def test_handlers_run_in_the_order_of_arrival_and_before_anybody_looks():
    network, env, nodes = star(4)
    seen = []
    for node, nbytes in ((nodes[1], 2 * M), (nodes[2], M), (nodes[3], M)):
        network.call(node, nodes[0], nbytes, M, lambda n=node: seen.append((n, env.now)) or n)
    x = M * 8 / 100e9
    env.run(until=10e-6 + 2.5 * x)
    network.settle()
    assert [node for node, _ in seen] == [nodes[1]]
    env.run()
    assert [node for node, _ in seen] == nodes[1:]


def group(n, gpus=0, **more):
    network, env, nodes = star(n, gpus)
    return Group(network, nodes, M, "world", **more), env


def arrive(env, times, action):
    """Let rank r call action(r) at times[r]; returns (end time, value) by rank."""
    ends = {}

    def rank(r):
        yield env.timeout(times[r])
        value = yield action(r)
        ends[r] = env.now, value

    for r in times:
        env.process(rank(r))
    env.run()
    return ends


def test_all_ranks_leave_an_all_reduce_together():
    world, env = group(4, how=Choices("ring"))
    ends = arrive(
        env, {0: 0.0, 1: 3.0, 2: 1.0, 3: 2.0}, lambda r: world.all_reduce(r, np.full(2, float(r)))
    )
    t = 3.0 + 6 * (10e-6 + M / 4 * 8 / 100e9)
    assert [end for end, _ in ends.values()] == pytest.approx([t] * 4, rel=1e-12)
    assert len({end for end, _ in ends.values()}) == 1
    assert len({id(value) for _, value in ends.values()}) == 1
    assert ends[0][1].tolist() == [6.0, 6.0]


def test_in_a_star_every_rank_has_its_own_end():
    world, env = group(4)
    one = 10e-6 + M * 8 / 100e9
    ends = arrive(
        env,
        {0: 2.0, 1: 0.0, 2: 5.0, 3: 2.0},
        lambda r: world.broadcast(r, "value" if not r else None),
    )
    each = 10e-6 + 3 * M * 8 / 100e9  # the root's NIC carries three copies
    assert {r: end for r, (end, _) in ends.items()} == pytest.approx(
        {0: 2.0, 1: 2.0 + each, 2: 5.0 + each, 3: 2.0 + each}
    )
    assert all(value == "value" for _, value in ends.values())
    assert one < each


def test_in_a_tree_a_late_rank_delays_those_behind_it():
    world, env = group(4)
    one = 10e-6 + M * 8 / 100e9
    ends = arrive(
        env,
        {0: 0.0, 1: 0.0, 2: 5.0, 3: 0.0},
        lambda r: world.broadcast(r, 7 if not r else None, shape="tree"),
    )
    assert {r: end for r, (end, _) in ends.items()} == pytest.approx(
        {0: 5.0 + 2 * one, 1: 5.0 + 2 * one, 2: 5.0 + 2 * one, 3: 5.0 + 2 * one}
    )


def test_a_rank_leaves_a_reduce_when_its_part_is_sent():
    world, env = group(3)
    each = 10e-6 + 2 * M * 8 / 100e9
    ends = arrive(
        env, {0: 0.0, 1: 1.0, 2: 4.0}, lambda r: world.reduce(r, np.float32([0.1]) if r else None)
    )
    assert {r: end for r, (end, _) in ends.items()} == pytest.approx(
        {0: 4.0 + each, 1: 1.0 + each, 2: 4.0 + each}
    )
    assert ends[1][1] is None
    assert ends[0][1].dtype == np.float64  # a rooted reduce hands float64 on


def test_auto_takes_the_cheapest_and_says_why():
    small, _ = group(8, gpus=4)
    plan = small._choose(100.0)
    prices = {
        name: small.network.price(make(small._hosts, 100.0), small.nodes).seconds
        for name, make in COLLECTIVES["all-reduce"].items()
    }
    assert plan.name.startswith(min(prices, key=prices.get))
    assert "for 100 B, the cheapest by the alpha-beta model: ring" in small.choices[100.0]


def test_a_group_of_one_waits_for_nothing():
    world, env = group(1)
    ends = arrive(env, {0: 1.0}, lambda r: world.mean(r, np.ones(2)))
    assert ends[0][0] == 1.0


def test_other_operations():
    world, env = group(4)
    ends = arrive(env, dict.fromkeys(range(4), 0.0), lambda r: world.all_gather(r, r, nbytes=1e6))
    assert ends[2][1] == (0, 1, 2, 3)
    assert ends[2][0] == pytest.approx(3 * (10e-6 + 1e6 * 8 / 100e9))
    ends = arrive(
        env, dict.fromkeys(range(4), 0.0), lambda r: world.reduce_scatter(r, np.arange(8.0))
    )
    assert [part.tolist() for part in ends[1][1]] == [[0, 4], [8, 12], [16, 20], [24, 28]]
    assert arrive(env, dict.fromkeys(range(4), 1.0), world.barrier)[3][1] is None


def test_sums_run_in_rank_order_in_float64_and_are_rounded_once():
    world, env = group(3)
    parts = [np.float32([1e8]), np.float32([1.0]), np.float32([-1e8])]
    ends = arrive(env, {0: 2.0, 1: 0.0, 2: 1.0}, lambda r: world.all_reduce(r, parts[r]))
    assert ends[0][1].tolist() == [1.0]
    assert ends[0][1].dtype == np.float32
    assert not ends[0][1].flags.writeable


def test_no_route_is_an_error():
    import networkx as nx

    graph = nx.Graph()
    graph.add_node("a", kind="host")
    graph.add_node("b", kind="host")
    network = AlphaBeta(Clock(), graph, Trace().messages)
    with pytest.raises(TopologyError, match="no route from 'a' to 'b'"):
        network.router.route("a", "b")


def test_the_sum_does_not_depend_on_who_comes_first():
    """Rank order, in float64: a sum in another order has other bits."""
    rng = np.random.default_rng(0)
    parts = [np.array([1e16]), np.array([1.0]), np.array([-1e16]), rng.normal(size=1)]
    expected = ((parts[0] + parts[1]) + parts[2]) + parts[3]
    other = ((parts[3] + parts[2]) + parts[1]) + parts[0]
    assert expected != other
    for times in ({0: 0.0, 1: 1.0, 2: 2.0, 3: 3.0}, {0: 3.0, 1: 2.0, 2: 1.0, 3: 0.0}):
        world, env = group(4)
        ends = arrive(env, times, lambda r, world=world: world.all_reduce(r, parts[r]))
        assert ends[0][1] == expected


def test_a_mean_of_float32_is_float32_rounded_once():
    world, env = group(3)
    parts = [np.float32([0.1]), np.float32([0.2]), np.float32([0.4])]
    ends = arrive(env, dict.fromkeys(range(3), 0.0), lambda r: world.mean(r, parts[r]))
    exact = np.float32(sum(float(part[0]) for part in parts) / 3)
    assert ends[0][1].dtype == np.float32
    assert ends[0][1][0] == exact


def test_every_round_of_a_tree_has_its_own_price():
    """GPU links inside the hosts are slower than the NIC here."""
    slow = LinkSpec(1e9, 1e-6)
    network, env, nodes = star(2, gpus=2, nic=FAST, inside=slow)
    world = Group(network, nodes, M, "world")
    ends = arrive(
        env, dict.fromkeys(range(4), 0.0), lambda r: world.reduce(r, np.ones(1), shape="tree")
    )
    inside, between = network.price(collectives.tree_reduce(4, M), nodes).per_round
    assert inside != pytest.approx(between)
    assert ends[0][0] == pytest.approx(inside + between)
    assert ends[1][0] == pytest.approx(inside)
    assert ends[2][0] == pytest.approx(inside + between)


def test_a_message_to_oneself_is_free():
    network, _, nodes = star(2)
    event = network.send(nodes[0], nodes[0], M)
    assert event.processed
    assert network.carriers == []
