"""Corners of links and single messages: failures, bottlenecks, jitter, routes, history."""

import math

import networkx as nx
import numpy as np
import pytest

import topologies
from simulator.engine import Activity, Streams
from simulator.errors import TopologyError
from simulator.experiment.run import build
from simulator.network import COLLECTIVES, collectives
from simulator.network.conditions import Background, Jitter, LinkChange
from simulator.network.surroundings import surround
from simulator.network.transfers import Transfer, deliveries, seconds_of
from tests.make import scenario, simulate
from tests.network.making import ALL, NIC, RATE, A, M, made, star
from topologies import LinkSpec, Star


@pytest.mark.parametrize("state", ["latency", "moving"])
def test_a_cancelled_flow_leaves_the_links_to_the_others(state):
    network, env, _ = made(star(3))
    way = network.way("host0", "host1")
    place = network.new_message(way)
    network.arena.amount[place] = M

    class Nobody:
        def over(self, place, now):
            raise AssertionError("it was cancelled")

    network.start(place, Nobody())
    at = A if state == "latency" else 1e-3
    env.at(at, 1, lambda: network.cancel(place))
    other = network.send("host0", "host2", M)
    env.run(until=other)
    lost = 0.0 if state == "latency" else (at - 2 * A) / 2
    assert env.now == pytest.approx(2 * A + M / RATE + lost)


def test_a_link_that_fails_and_comes_back_carries_every_byte_once():
    network, _, _ = made(star(2))
    surround(network, [LinkChange("host0", "switch0", 1e-3, 3e-3)], [])
    (end,) = deliveries(network, [Transfer("host0", "host1", M, 0.0)])
    network.close(end.finish_s)
    assert end.finish_s == pytest.approx(2 * A + M / RATE + 2e-3)
    assert network.traffic(0.0).nbytes[network.links.index["host0", "switch0"]] == pytest.approx(M)


def test_a_message_without_bytes_needs_no_bandwidth():
    network, _, _ = made(star(2))
    surround(network, [LinkChange("host0", "switch0", 0.0)], [])
    found = deliveries(
        network, [Transfer("host0", "host1", 0.0, 1.0), Transfer("host0", "host1", 1.0, 1.0)]
    )
    assert [d.finish_s for d in found] == [pytest.approx(1.0 + 2 * A), None]


def test_factors_of_changes_end_in_any_order():
    network, _, _ = made(star(2))
    changes = [
        LinkChange("host0", "switch0", 0.0, 4e-3, 0.5),
        LinkChange("host0", "switch0", 1e-3, 2e-3, 0.2),
    ]
    surround(network, changes, [])
    (end,) = deliveries(network, [Transfer("host0", "host1", M, 0.0)])
    # half until 4 ms, but a tenth from 1 ms to 2 ms
    assert end.finish_s == pytest.approx(2 * A + M / RATE + (1.5 + 0.9) * 1e-3, rel=1e-3)


def test_a_degraded_link_has_not_failed():
    network, env, _ = made(star(2))
    surround(network, [LinkChange("host0", "switch0", 0.0, None, 1e-6)], [])
    env.run(until=1.0)
    assert network.failed() == []


def test_the_link_that_limits_most_bytes_is_the_bottleneck():
    """A slow second link of a lone transfer; then one that limits two thirds of the bytes."""
    graph = nx.Graph()
    for name in "abcd":
        graph.add_node(name, kind="host")
    graph.add_node("s", kind="switch")
    for name, rate in (("a", 80e9), ("b", 8e9), ("c", 80e9), ("d", 80e9)):
        graph.add_edge(name, "s", bandwidth=rate, latency=0.0)
    (lone,) = deliveries(made(graph)[0], [Transfer("a", "b", 1e9, 0.0)])
    assert lone.limit == ("s", "b")
    first, *_ = deliveries(
        made(graph)[0],
        [
            Transfer("a", "c", 30e9, 0.0),
            Transfer("a", "d", 5e9, 0.0),  # for a third of its bytes the source is shared,
            Transfer("d", "c", 20e9, 1.0),  # then the target
        ],
    )
    assert first.limit == ("s", "c")


@pytest.mark.parametrize("fidelity", ALL)
def test_inside_a_node_nothing_is_paid(fidelity):
    jitter = {} if fidelity == "alpha-beta" else {"jitter": Jitter(1e-3, Streams(0))}
    network, _, _ = made(star(2), fidelity, overhead=1.0, **jitter)
    plan = COLLECTIVES["all-reduce"]["halving-doubling"]([[0, 1, 2, 3]], M)
    assert seconds_of(network, plan, ["host0"] * 4) == 0.0


@pytest.mark.parametrize("fidelity", ALL)
def test_overhead_of_a_single_message(fidelity):
    network, env, _ = made(star(2), fidelity, overhead=3e-6)
    env.run(until=network.send("host0", "host1", M))
    assert env.now == pytest.approx(3e-6 + 2 * A + M / RATE)


def test_jitter_does_not_depend_on_other_traffic():
    """Common random numbers: a message is delayed alike whatever else there is."""

    def ends(background):
        network, _, _ = made(star(6), jitter=Jitter(1e-3, Streams(0)))
        surround(network, [], background)
        sent = [Transfer("host0", "host1", 1e3, float(i)) for i in range(5)]
        if background:
            sent.append(Transfer("host4", "host5", 1e3, 0.5))
        return [d.finish_s for d in deliveries(network, sent)][:5]

    assert ends([]) == ends([Background("host2", "host3", 3, 1e3)])
    for fidelity in ("flow", "message"):
        times = []
        for background in ([], [Background("host4", "host5")]):
            network, _, _ = made(star(6), fidelity, jitter=Jitter(1e-3, Streams(0)))
            surround(network, [], background)
            plan = collectives.ring_all_reduce(4, 1e3)
            times.append(seconds_of(network, plan, [f"host{i}" for i in range(4)]))
        assert times[0] == times[1]


def test_messages_between_the_same_nodes_have_delays_of_their_own():
    network, _, _ = made(star(2), jitter=Jitter(1e-3, Streams(0)))
    found = deliveries(network, [Transfer("host0", "host1", 0.0, 0.0)] * 50)
    assert len({d.finish_s for d in found}) == 50


def test_half_duplex_of_a_directed_graph():
    graph = star(2).to_directed()
    for edge in graph.edges:
        graph.edges[edge]["duplex"] = "half"
    both = [Transfer("host0", "host1", M, 0.0), Transfer("host1", "host0", M, 0.0)]
    ends = [d.finish_s for d in deliveries(made(graph)[0], both)]
    assert ends == pytest.approx([2 * A + 2 * M / RATE] * 2)
    network, _, _ = made(graph)
    surround(network, [LinkChange("host0", "switch0", 0.0, None, 0.5)], [])
    ends = [d.finish_s for d in deliveries(network, both)]
    assert ends == pytest.approx([2 * A + 4 * M / RATE] * 2)


def test_a_leaf_with_one_direction_has_a_route_one_way_only():
    graph = nx.DiGraph()
    for name in ("a", "b", "s"):
        graph.add_node(name, kind="switch" if name == "s" else "host")
    for u, v in (("a", "s"), ("s", "b"), ("b", "s")):
        graph.add_edge(u, v, bandwidth=1e9, latency=0.0)
    network, _, _ = made(graph)
    assert network.router.route("a", "b").edges
    with pytest.raises(TopologyError, match="no route from 'b' to 'a'"):
        network.router.route("b", "a")


def test_hashed_routes_differ_from_switch_to_switch():
    """Two tiers of four ways each: over many flows the second choice is not the first."""
    graph = topologies.TOPOLOGIES["fat-tree"](k=8, gpus_per_host=0).build()
    network, _, _ = made(graph, routing="flow-hash")
    fixed, _, _ = made(graph)
    hosts = topologies.worker_nodes(graph)
    choices = set()
    differ = 0
    for i in range(64):
        source, target = hosts[i], hosts[127 - i]
        path = [network.links.ends[e][1] for e in network.router.route(source, target).edges]
        up, core = path[1], path[2]
        choices.add((int(up[-1]), int(core.removeprefix("core")) % 4))
        differ += network.router.route(source, target).edges != (
            fixed.router.route(source, target).edges
        )
    assert len(choices) > 8  # of sixteen
    assert differ > 32


def test_settings_of_a_scenario_reach_the_network():
    usual = build(scenario())[0].network
    special = build(
        scenario(network={"routing": "flow-hash", "overhead": 0.5, "fidelity": "message"})
    )[0].network
    assert usual.router._by_target
    assert not special.router._by_target
    assert (usual.overhead, special.overhead) == (0.0, 0.5)
    assert (usual.by_message, special.by_message) == (False, True)


@pytest.mark.parametrize("fidelity", ["flow", "message"])
def test_the_breakdown_of_a_run_that_is_cut_in_an_all_reduce(fidelity):
    """Compute to 50 ms, then communication until the cut at 52 ms."""
    result = simulate(
        workload={"noise": "none"},
        network={"fidelity": fidelity, "all_reduce": "ring"},
        stop={"time": 0.052},
    )
    seconds = result.summary["breakdown"]
    assert seconds["compute_s"] == pytest.approx(0.05)
    assert seconds["communication_s"] == pytest.approx(0.002)
    assert seconds["idle_s"] == pytest.approx(0.0, abs=1e-12)


def test_history_lasts_as_long_as_the_run():
    """Traffic in the first and in the last second; the intervals grow on the way."""
    network, _, _ = made(star(2))
    deliveries(network, [Transfer("host0", "host1", M, 0.0), Transfer("host0", "host1", M, 9.0)])
    network.close(20.0)
    traffic = network.traffic(20.0)
    own = traffic.history[network.links.index["host0", "switch0"]]
    assert traffic.width_s * len(own) >= 20.0
    edges = np.arange(len(own)) * traffic.width_s
    assert own[edges < 1.0].sum() == pytest.approx(M)
    assert own[(edges > 8.5) & (edges < 9.5)].sum() == pytest.approx(M)
    assert own.sum() == pytest.approx(2 * M)


def test_a_link_that_several_messages_of_a_round_cross_is_charged_for_all():
    """Ranks dealt round robin over hosts with four GPUs: four messages on each NIC."""
    graph = Star(4, 4, NIC, LinkSpec(1e12, 0.0)).build()
    nodes = topologies.worker_nodes(graph)
    dealt = [nodes[4 * (r % 4) + r // 4] for r in range(16)]
    carried = {}
    for fidelity in ("flow", "message"):
        network, env, _ = made(graph, fidelity)
        seconds_of(network, collectives.ring_all_reduce(16, M), dealt)
        network.close(env.now)
        traffic = network.traffic(env.now)
        carried[fidelity] = traffic.nbytes
        assert traffic.history.sum(1) == pytest.approx(traffic.nbytes)
    assert carried["flow"] == pytest.approx(carried["message"])


def test_sizes_of_one_round_count_as_they_are():
    """A tree gather of six: messages of one and of two parts in one round."""
    times = [
        seconds_of(
            made(star(6), fidelity)[0],
            COLLECTIVES["gather"]["tree"]([[r] for r in range(6)], M),
            topologies.worker_nodes(star(6)),
        )
        for fidelity in ("flow", "message", "alpha-beta")
    ]
    assert times == pytest.approx([times[1]] * 3)


def test_nearly_equal_rates_are_kept_apart_and_equal_ones_solved_together():
    graph = nx.Graph()
    for name, rate in (("a", 8e9), ("b", 8e9 * (1 + 1e-8))):
        graph.add_edge(f"{name}0", f"{name}1", bandwidth=rate, latency=0.0)
    nx.set_node_attributes(graph, "host", "kind")
    ends = [
        d.finish_s
        for d in deliveries(
            made(graph)[0], [Transfer("a0", "a1", 1e9, 0.0), Transfer("b0", "b1", 1e9, 0.0)]
        )
    ]
    assert ends[0] - ends[1] == pytest.approx(1e-8, rel=1e-3)
    network, _, _ = made(star(7))
    seconds_of(network, collectives.ring_all_reduce(7, M / 3), [f"host{i}" for i in range(7)])
    assert network.arena.fluid.tally[0].solves == 0  # nobody ever meets anybody


def test_latencies_of_hours_do_not_overflow():
    graph = star(3)
    for edge in graph.edges:
        graph.edges[edge]["latency"] = 1e8
    network, _, _ = made(graph)
    assert network.router.route("host0", "host1").latency == 2e8


def test_an_activity_under_way_is_busy_from_its_begin():
    network, env, _ = made(star(2), "flow")
    event = network.send("host0", "host1", M)
    assert isinstance(event, Activity)
    assert event.busy == ((0.0, math.inf),)
    answer = network.call("host0", "host1", M, M, lambda: "value")
    env.run(until=answer)
    assert answer.value == "value"
    (begin_, end), (again, last) = answer.busy
    assert (begin_, again) == (0.0, end)
    assert last == env.now


def test_a_link_is_busy_while_anything_is_on_it():
    """Two transfers that overlap, then one by itself: the union of their times."""
    network, env, _ = made(star(2))
    sent = [Transfer("host0", "host1", M, start) for start in (0.0, 1e-3, 1.0)]
    deliveries(network, sent)
    network.close(env.now)
    link = network.links.index["host0", "switch0"]
    assert network.traffic(env.now).busy_s[link] == pytest.approx(3 * M / RATE)


def test_closing_the_books_twice_counts_nothing_twice():
    network, env, _ = made(star(2))
    network.send("host0", "host1", M)
    link = network.links.index["host0", "switch0"]
    for now in (1e-3, 2e-3, 3e-3):
        env.run(until=now)
        network.close(now)
        network.close(now)
        assert network.traffic(now).busy_s[link] == pytest.approx(now - 2 * A)
        assert network.traffic(now).nbytes[link] == pytest.approx((now - 2 * A) * RATE)


def test_the_last_of_those_due_together_can_be_cancelled_and_another_join():
    """Three latencies end at one instant; the third is cancelled, a fourth joins them."""
    graph = star(8)
    for edge in graph.edges:
        graph.edges[edge]["latency"] = 2.0**-11  # exact in binary, so that times tie
    network, env, _ = made(graph)
    ended = {}

    class Waiter:
        def over(self, place, now):
            ended[place] = now

    places = [
        network.new_message(network.way(f"host{2 * i}", f"host{2 * i + 1}")) for i in range(4)
    ]
    network.arena.amount[places] = M
    for place in places[:3]:
        network.start(place, Waiter())

    def change():
        network.cancel(places[2])
        network.arena.fluid.flows.delay[places[3]] = 2.0**-10 - 2.0**-12
        network.start(places[3], Waiter())

    env.at(2.0**-12, 1, change)
    env.run()
    assert ended == pytest.approx(dict.fromkeys([*places[:2], places[3]], 2.0**-10 + M / RATE))
