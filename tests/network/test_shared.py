"""The shared network: golden cases, and agreement with a slow and simple reference."""

import math

import networkx as nx
import numpy as np
import pytest

import topologies
from simulator.engine import Clock, Trace
from simulator.network import collectives
from simulator.network.shared import SharedNetwork
from topologies import LinkSpec, Star
from topologies.builders import LeafSpine

M = 1e8
FAST = LinkSpec(100e9, 5e-6)


def star(n):
    return Star(n, 0, FAST, FAST).build()


def fat(n):
    """Two-level tree of sqrt(n) leaves with sqrt(n) hosts each, and as many spines."""
    h = math.isqrt(n)
    return LeafSpine(
        hosts=n, gpus_per_host=0, hosts_per_leaf=h, spines=h, host_link=FAST, spine_link=FAST
    ).build()


def shared(n):
    """n private pairs over one link of 12.5e9 B/s and 10 us."""
    graph = nx.Graph()
    for name in ("left", "right"):
        graph.add_node(name, kind="switch")
    graph.add_edge("left", "right", bandwidth=100e9, latency=10e-6)
    for i in range(n):
        for name, switch in ((f"a{i}", "left"), (f"b{i}", "right")):
            graph.add_node(name, kind="host")
            graph.add_edge(name, switch, bandwidth=1e15, latency=0.0)
    return graph


def network(graph, fidelity="message", **more):
    env, trace = Clock(), Trace()
    return SharedNetwork(env, graph, trace.messages, fidelity, **more), env, trace


def transfers(graph, messages, **more):
    """Finish time of each (source, target, nbytes, start)."""
    net, env, _ = network(graph, **more)
    ends = {}

    def one(number, source, target, nbytes, start):
        yield env.timeout(start)
        yield net.send(source, target, nbytes)
        ends[number] = env.now

    for number, message in enumerate(messages):
        env.process(one(number, *message))
    env.run()
    return [ends[number] for number in range(len(messages))]


def collective(graph, plan, fidelity, starts=None, nodes=None, **more):
    """When each rank leaves *plan*."""
    net, env, _ = network(graph, fidelity, **more)
    prepared = net.prepare(plan, nodes or topologies.worker_nodes(graph)[: plan.ranks], "world")
    play = net.play(prepared, "all-reduce", lambda rank: None)
    ends = {}

    def one(rank, start):
        yield env.timeout(start)
        event = play.wait(rank)
        play.enter(rank)
        yield event
        ends[rank] = env.now

    for rank in range(plan.ranks):
        env.process(one(rank, starts[rank] if starts else 0.0))
    env.run()
    return [ends[rank] for rank in range(plan.ranks)]


# -- golden cases: closed forms that two other simulators agree with -------------------------


@pytest.mark.parametrize("n", [8, 64, 256, 1024])
def test_golden_flows(n):
    ends = transfers(shared(n), [(f"a{i}", f"b{i}", M, 0.0) for i in range(n)])
    expected = {8: 0.064010, 64: 0.512010, 256: 2.048010, 1024: 8.192010}[n]
    assert max(ends) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("n", [8, 64, 256, 1024])
def test_golden_flows_of_unequal_sizes(n):
    sizes = [M * (i + 1) / n for i in range(n)]
    ends = transfers(shared(n), [(f"a{i}", f"b{i}", sizes[i], 0.0) for i in range(n)])
    last = {8: 0.036010, 64: 0.260010, 256: 1.028010, 1024: 4.100010}[n]
    mean = {8: 0.025510, 64: 0.1746975, 256: 0.686681875, 1024: 2.734677938}[n]
    assert max(ends) == pytest.approx(last, rel=1e-6)
    assert np.mean(ends) == pytest.approx(mean, rel=1e-6)


RING = {8: 0.014140, 64: 0.017010, 256: 0.0210375, 1024: 0.036444375}
DOUBLING = {8: 0.024030, 64: 0.048060, 256: 0.064080, 1024: 0.080100}
BOTH = pytest.mark.parametrize("fidelity", ["message", "flow"])


@BOTH
@pytest.mark.parametrize("n", [8, 64, 256, 1024])
def test_golden_ring_on_a_star(n, fidelity):
    ends = collective(star(n), collectives.ring_all_reduce(n, M), fidelity)
    assert ends == pytest.approx([RING[n]] * n, rel=1e-9)


@BOTH
@pytest.mark.parametrize("n", [8, 64, 256, 1024])
def test_golden_recursive_doubling_on_a_star(n, fidelity):
    ends = collective(star(n), collectives.recursive_doubling_all_reduce(n, M), fidelity)
    assert ends == pytest.approx([DOUBLING[n]] * n, rel=1e-9)


@BOTH
@pytest.mark.parametrize(("n", "expected"), [(8, 0.014060), (64, 0.015870)])
def test_golden_halving_doubling_on_a_star(n, expected, fidelity):
    ends = collective(star(n), collectives.halving_doubling_all_reduce(n, M), fidelity)
    assert ends == pytest.approx([expected] * n, rel=1e-9)


@BOTH
@pytest.mark.parametrize(("n", "expected"), [(64, 0.018270), (256, 0.0261375), (1024, 0.056904375)])
def test_golden_ring_on_a_fat_tree(n, expected, fidelity):
    ends = collective(fat(n), collectives.ring_all_reduce(n, M), fidelity)
    assert max(ends) == pytest.approx(expected, rel=1e-6)


@BOTH
@pytest.mark.parametrize(("n", "expected"), [(64, 0.048090), (256, 0.064120), (1024, 0.080150)])
def test_golden_recursive_doubling_on_a_fat_tree(n, expected, fidelity):
    ends = collective(fat(n), collectives.recursive_doubling_all_reduce(n, M), fidelity)
    assert max(ends) == pytest.approx(expected, rel=1e-6)


def all_to_four(n):
    return [
        (f"host{i}", f"host{(i + 1 + (i * j) % (n - 1)) % n}", M, 0.0)
        for i in range(n)
        for j in range(1, 5)
    ]


@pytest.mark.parametrize(
    ("n", "last", "mean"),
    [
        (8, 0.064010, 0.038543333),
        (64, 0.064010, 0.039382785),
        (256, 0.080010, 0.042846197),
        (1024, 0.064010, 0.039804103),
    ],
)
def test_golden_all_to_four_on_a_star(n, last, mean):
    ends = transfers(star(n), all_to_four(n))
    assert max(ends) == pytest.approx(last, rel=1e-6)
    assert np.mean(ends) == pytest.approx(mean, rel=1e-6)


@pytest.mark.parametrize(
    ("n", "last", "mean"), [(64, 0.064020, 0.042196110), (256, 0.080020, 0.047037455)]
)
def test_golden_all_to_four_on_a_fat_tree(n, last, mean):
    ends = transfers(fat(n), all_to_four(n))
    assert max(ends) == pytest.approx(last, rel=1e-6)
    assert np.mean(ends) == pytest.approx(mean, rel=1e-6)
