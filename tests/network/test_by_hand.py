"""Contention worked out by hand: two jobs, a loader, a parameter server, changing links."""

import networkx as nx
import numpy as np
import pytest

import topologies
from simulator.engine import Clock, Streams, Trace
from simulator.errors import TopologyError
from simulator.network import COLLECTIVES, AlphaBeta, Choices, Group, collectives
from simulator.network.conditions import Background, Jitter, LinkChange
from simulator.network.payload import Bucketed, PerTensor
from simulator.network.shared import SharedNetwork
from simulator.network.surroundings import surround
from simulator.network.transfers import Transfer, deliveries, seconds_of
from tests.make import simulate
from tests.network import making
from tests.network.making import NIC, RATE, A, M
from topologies import Star
from topologies.builders import LeafSpine

BOTH = pytest.mark.parametrize("fidelity", ["flow", "message"])


def racks(oversubscription=4.0):
    """Two racks of four hosts; one spine, whose links carry 4/oversubscription NICs."""
    return LeafSpine(
        hosts=8,
        gpus_per_host=0,
        hosts_per_leaf=4,
        spines=1,
        oversubscription=oversubscription,
        host_link=NIC,
    ).build()


def made(graph, fidelity="flow", **more):
    """A network and its clock."""
    return making.made(graph, fidelity, **more)[:2]


def begin(network, env, nodes, plan, start, name):
    """Play *plan* on *nodes* from *start* on; returns where the end will stand."""
    end = {}
    prepared = network.prepare(plan, nodes, name)

    def run():
        yield env.timeout(start)
        play = network.play(prepared, "all-reduce", lambda rank: None)
        events = [play.wait(rank) for rank in range(plan.ranks)]
        for rank in range(plan.ranks):
            play.enter(rank)
        yield env.all_of(events)
        end["at"] = env.now

    env.process(run())
    return end


@BOTH
def test_two_jobs_share_an_oversubscribed_spine(fidelity):
    """Two rings of two hosts each, across the racks; the uplink is one NIC wide.

    Alone a ring takes 2 (4a + M/2 / C).  Together each message has half of the uplink, in
    both directions, as long as both are at it, which they always are: twice the bytes.
    """
    network, env = made(racks(), fidelity)
    ring = collectives.ring_all_reduce(2, M)
    one = begin(network, env, ["host0", "host4"], ring, 0.0, "one")
    two = begin(network, env, ["host1", "host5"], ring, 0.0, "two")
    env.run()
    shared = 2 * (4 * A + M / 2 / (RATE / 2))
    assert (one["at"], two["at"]) == pytest.approx((shared, shared), rel=1e-9)
    network, env = made(racks(), fidelity)
    one = begin(network, env, ["host0", "host4"], ring, 0.0, "one")
    env.run()
    assert one["at"] == pytest.approx(2 * (4 * A + M / 2 / RATE), rel=1e-9)


@BOTH
def test_two_jobs_with_room_for_both_do_not_meet(fidelity):
    """Not oversubscribed, the uplink carries four NICs."""
    network, env = made(racks(1.0), fidelity)
    ring = collectives.ring_all_reduce(2, M)
    one = begin(network, env, ["host0", "host4"], ring, 0.0, "one")
    begin(network, env, ["host1", "host5"], ring, 0.0, "two")
    env.run()
    assert one["at"] == pytest.approx(2 * (4 * A + M / 2 / RATE), rel=1e-9)


@BOTH
def test_a_later_job_slows_the_earlier_one_from_then_on(fidelity):
    """Recursive doubling of two hosts is one exchange of M; the second job comes half-way."""
    network, env = made(racks(), fidelity)
    plan = collectives.recursive_doubling_all_reduce(2, M)
    half = M / RATE / 2
    one = begin(network, env, ["host0", "host4"], plan, 0.0, "one")
    two = begin(network, env, ["host1", "host5"], plan, half, "two")
    env.run()
    # The first is alone for `half`, has half of its bytes left and shares them evenly; then
    # the second has as much left and is alone.
    assert one["at"] == pytest.approx(4 * A + half + 2 * half, rel=1e-9)
    assert two["at"] == pytest.approx(4 * A + half + 2 * half + half, rel=1e-9)


@BOTH
def test_an_all_reduce_against_a_data_loading_stream(fidelity):
    """host1 reads 3M from a store on the switch while it takes part in a ring of three.

    Each round sends M/3 to the right.  host1's link in is shared by the read and the ring
    message, so a round takes a + (M/3) / (C/2); four rounds.  Meanwhile the read gets C/2,
    and C while the ring waits out latencies; what is left of it then has the link alone.
    """
    graph = Star(3, 0, NIC, NIC).build()
    graph.add_node("store", kind="storage")
    graph.add_edge("switch0", "store", bandwidth=1e12, latency=0.0)
    network, env = made(graph, fidelity)
    read = {}

    def load():
        yield network.send("store", "host1", 3 * M)
        read["at"] = env.now

    env.process(load())
    nodes = ["host0", "host1", "host2"]
    ring = begin(network, env, nodes, collectives.ring_all_reduce(3, M), 0.0, "ring")
    env.run()
    assert ring["at"] == pytest.approx(4 * (2 * A + M / 3 / (RATE / 2)), rel=1e-9)
    # The link is never idle from A on: it carries 3M and the ring's 4 M/3 in.
    assert read["at"] == pytest.approx(A + (3 * M + 4 * M / 3) / RATE, rel=1e-9)


@pytest.mark.parametrize("n", [2, 5, 16])
def test_a_parameter_server_under_incast(n):
    """n pushes of M at once into one NIC: all end at 2a + n M / C, and unequal ones in order."""
    graph = Star(n + 1, 0, NIC, NIC).build()
    same = [Transfer(f"host{i + 1}", "host0", M, 0.0) for i in range(n)]
    ends = [d.finish_s for d in deliveries(made(graph)[0], same)]
    assert ends == pytest.approx([2 * A + n * M / RATE] * n, rel=1e-9)
    unequal = [Transfer(f"host{i + 1}", "host0", (i + 1) * M, 0.0) for i in range(n)]
    found = deliveries(made(graph)[0], unequal)
    # Push i is over when all have sent i M: sum of min(i, j) over j.
    expected = [2 * A + sum(min(i, j) for j in range(1, n + 1)) * M / RATE for i in range(1, n + 1)]
    assert [d.finish_s for d in found] == pytest.approx(expected, rel=1e-9)
    assert {d.limit for d in found[:-1]} == {("switch0", "host0")}


def test_the_bottleneck_is_what_limits_most_bytes():
    """Alone behind a slow link; then a fast one that is crowded for most of the time."""
    graph = nx.Graph()
    for name in "abcd":
        graph.add_node(name, kind="host")
    graph.add_node("s", kind="switch")
    for name, bandwidth in (("a", 8e9), ("b", 80e9), ("c", 80e9), ("d", 80e9)):
        graph.add_edge(name, "s", bandwidth=bandwidth, latency=0.0)
    slow, crowded, also = deliveries(
        made(graph)[0],
        [Transfer("a", "b", 1e9, 0.0), Transfer("c", "d", 1e10, 0.0), Transfer("b", "d", 8e9, 0.0)],
    )
    assert slow.limit == ("a", "s")
    assert crowded.limit == also.limit == ("s", "d")
    assert slow.finish_s == pytest.approx(1.0)


@BOTH
def test_a_link_that_degrades_and_comes_back(fidelity):
    """A tenth of the bandwidth from 2 ms to 5 ms: 3 ms lose nine tenths of what they carry."""
    graph = Star(2, 0, NIC, NIC).build()
    network, env = made(graph, fidelity)
    surround(network, [LinkChange("host0", "switch0", 2e-3, 5e-3, 0.1)], [])
    plan = collectives.recursive_doubling_all_reduce(2, M)
    end = begin(network, env, ["host0", "host1"], plan, 0.0, "pair")
    env.run()
    assert end["at"] == pytest.approx(2 * A + M / RATE + 0.9 * 3e-3, rel=1e-9)


def test_changes_that_overlap_multiply_and_one_way_is_one_way():
    graph = Star(2, 0, NIC, NIC).build()
    network, _ = made(graph)
    changes = [
        LinkChange("host0", "switch0", 1e-3, 3e-3, 0.5, both_ways=False),
        LinkChange("host0", "switch0", 2e-3, 4e-3, 0.5),
    ]
    surround(network, changes, [])
    there, back = deliveries(
        network, [Transfer("host0", "host1", M, 0.0), Transfer("host1", "host0", M, 0.0)]
    )
    assert there.finish_s == pytest.approx(2 * A + M / RATE + 0.5e-3 + 0.75e-3 + 0.5e-3)
    assert back.finish_s == pytest.approx(2 * A + M / RATE + 0.5 * 2e-3)


def test_a_link_that_fails_for_good_stalls_the_run_and_says_so():
    result = simulate(
        network={"links": [{"source": "host0", "target": "switch0", "at": 0.2}]},
        topology={"gpus_per_host": 0},
    )
    assert result.summary["status"] == "stalled"
    assert "link host0 -> switch0 has failed" in result.warnings
    assert "all-reduce of world" in "\n".join(result.warnings)


def test_a_failed_link_that_comes_back_only_delays():
    quiet = {"noise": "none", "compute": 0.05}
    usual = simulate(workload=quiet).summary["simulated_time_s"]
    failure = {"source": "host0", "target": "switch0", "at": 0.0525, "until": 0.5525}
    late = simulate(workload=quiet, network={"links": [failure]}).summary
    assert late["status"] == "completed"
    assert late["simulated_time_s"] == pytest.approx(usual + 0.5)


@BOTH
@pytest.mark.parametrize(("flows", "share"), [(1, 2), (3, 4)])
def test_background_traffic_takes_its_fair_share(flows, share, fidelity):
    graph = Star(2, 0, NIC, NIC).build()
    network, env = made(graph, fidelity)
    surround(network, [], [Background("host0", "host1", flows)])
    plan = collectives.recursive_doubling_all_reduce(2, M)
    end = begin(network, env, ["host0", "host1"], plan, 0.0, "pair")
    env.run(until=1.0)
    assert end["at"] == pytest.approx(2 * A + share * M / RATE, rel=1e-9)


def test_background_traffic_of_a_given_rate_for_a_while():
    """At most a tenth of the link, from 1 ms to 5 ms."""
    graph = Star(2, 0, NIC, NIC).build()
    network, _ = made(graph)
    surround(network, [], [Background("host0", "host1", 1, 10e9, at=1e-3, until=5e-3)])
    (end,) = deliveries(network, [Transfer("host0", "host1", M, 0.0)])
    assert end.finish_s == pytest.approx(2 * A + M / RATE + 0.1 * 4e-3, rel=1e-9)
    traffic = network.traffic(1.0)
    assert traffic.nbytes[network.links.index["host0", "switch0"]] == pytest.approx(
        M + 0.1 * RATE * 4e-3
    )


@pytest.mark.parametrize("fidelity", ["flow", "message", "alpha-beta"])
def test_overhead_is_paid_by_every_message(fidelity):
    graph = Star(4, 0, NIC, NIC).build()
    nodes = topologies.worker_nodes(graph)
    plan = COLLECTIVES["all-reduce"]["ring"]([[r] for r in range(4)], M)

    def seconds(overhead):
        env, table = Clock(), Trace().messages
        if fidelity == "alpha-beta":
            return seconds_of(AlphaBeta(env, graph, table, overhead=overhead), plan, nodes)
        return seconds_of(
            SharedNetwork(env, graph, table, fidelity, overhead=overhead), plan, nodes
        )

    assert seconds(3e-6) - seconds(0.0) == pytest.approx(6 * 3e-6)


@BOTH
def test_jitter_delays_rounds_by_their_latest_message(fidelity):
    """Exchanges of a pair: every round waits for the larger of two exponential delays."""
    graph = Star(2, 0, NIC, NIC).build()
    rounds, mean = 4000, 50e-6
    plan = collectives.in_sequence([collectives.recursive_doubling_all_reduce(2, 1e3)] * rounds)

    def seconds(seed, jitter=mean):
        network, _ = made(graph, fidelity, jitter=Jitter(jitter, Streams(seed)))
        return seconds_of(network, plan, ["host0", "host1"])

    without = seconds_of(made(graph, fidelity)[0], plan, ["host0", "host1"])
    extra = seconds(0) - without
    # Mean of the larger one is 1.5 means, its variance 1.25 squared means; three standard errors.
    assert extra == pytest.approx(1.5 * mean * rounds, abs=3 * mean * (1.25 * rounds) ** 0.5)
    assert seconds(0) == seconds(0)
    assert seconds(0) != seconds(1)


def test_jitter_of_single_messages_has_its_mean():
    graph = Star(2, 0, NIC, NIC).build()
    network, _ = made(graph, jitter=Jitter(1e-3, Streams(3)))
    many = [Transfer("host0", "host1", 0.0, float(i)) for i in range(3000)]
    delays = [d.finish_s - t.start_s - 2 * A for t, d in zip(many, deliveries(network, many))]  # noqa: B905
    assert np.mean(delays) == pytest.approx(1e-3, abs=3e-3 / 3000**0.5)
    assert np.median(delays) == pytest.approx(1e-3 * np.log(2), rel=0.1)


def test_half_duplex_links_share_both_directions():
    graph = Star(2, 0, NIC, NIC).build()
    for edge in graph.edges:
        graph.edges[edge]["duplex"] = "half"
    both = [Transfer("host0", "host1", M, 0.0), Transfer("host1", "host0", M, 0.0)]
    ends = [d.finish_s for d in deliveries(made(graph)[0], both)]
    assert ends == pytest.approx([2 * A + 2 * M / RATE] * 2)
    for fidelity in ("flow", "message"):
        pair = collectives.recursive_doubling_all_reduce(2, M)
        seconds = seconds_of(made(graph, fidelity)[0], pair, ["host0", "host1"])
        assert seconds == pytest.approx(2 * A + 2 * M / RATE)
    alpha_beta = AlphaBeta(Clock(), graph, Trace().messages)
    assert seconds_of(alpha_beta, pair, ["host0", "host1"]) == pytest.approx(2 * A + 2 * M / RATE)


@BOTH
@pytest.mark.parametrize(
    ("payload", "tensors", "pieces"), [(PerTensor(), 10, 10), (Bucketed(size=4e7), 1, 3)]
)
def test_a_payload_in_pieces_pays_every_latency_again(payload, tensors, pieces, fidelity):
    graph = Star(4, 0, NIC, NIC).build()
    network, env = made(graph, fidelity)
    how = Choices("ring", payload, tensors)
    group = Group(network, topologies.worker_nodes(graph), M, "world", how)
    ends = []

    def replica(rank):
        yield group.mean(rank, np.ones(2))
        ends.append(env.now)

    for rank in range(4):
        env.process(replica(rank))
    env.run()
    expected = pieces * 6 * 2 * A + 6 * M / 4 / RATE
    assert ends == pytest.approx([expected] * 4, rel=1e-9)


def test_a_node_that_is_not_there_is_named():
    graph = Star(2, 0, NIC, NIC).build()
    network, _ = made(graph)
    with pytest.raises(TopologyError, match=r"no node 'hst1'; did you mean 'host1'\?"):
        Group(network, ["host0", "hst1"], M, "world")
    with pytest.raises(TopologyError, match="no node 'nowhere'"):
        network.send("host0", "nowhere", M)


@BOTH
def test_equal_jobs_give_equal_bytes_and_rows(fidelity):
    """Links carry what the messages say, per direction, in both fidelities."""
    graph = Star(4, 0, NIC, NIC).build()
    network, env = made(graph, fidelity)
    plan = COLLECTIVES["all-reduce"]["ring"]([[r] for r in range(4)], M)
    seconds_of(network, plan, topologies.worker_nodes(graph))
    network.close(env.now)
    traffic = network.traffic(env.now)
    assert traffic.nbytes == pytest.approx([6 * M / 4] * 8)
    assert traffic.sent == pytest.approx(6 * M)
    assert traffic.busy_s == pytest.approx([6 * M / 4 / RATE] * 8)
    assert traffic.history.sum(1) == pytest.approx(traffic.nbytes)
