"""Laws of fair sharing on random networks, and the compiled loops against the reference."""

import networkx as nx
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.network import COLLECTIVES, Links, Router
from simulator.network.arena import Arena
from simulator.network.compiled import fluid
from tests.network import reference
from tests.network.test_shared import collective, network, transfers

SPEEDS = (1e9, 2e9, 10e9, 25e9)
LATENCIES = (0.0, 1e-6, 5e-6, 12e-6)


@st.composite
def graphs(draw, most=7):
    """A connected graph of switches with hosts on them, and perhaps links between hosts."""
    switches, count = draw(st.integers(1, 4)), draw(st.integers(2, most))
    graph = nx.Graph()
    link = st.tuples(st.sampled_from(SPEEDS), st.sampled_from(LATENCIES))

    def connect(u, v):
        bandwidth, latency = draw(link)
        graph.add_edge(u, v, bandwidth=bandwidth, latency=latency)

    for s in range(switches):
        graph.add_node(f"s{s}", kind="switch")
        if s:
            connect(f"s{s}", f"s{draw(st.integers(0, s - 1))}")
    for h in range(count):
        graph.add_node(f"h{h}", kind="host")
        connect(f"h{h}", f"s{draw(st.integers(0, switches - 1))}")
    nodes = list(graph)
    for _ in range(draw(st.integers(0, 4))):
        u, v = draw(st.sampled_from(nodes)), draw(st.sampled_from(nodes))
        if u != v and not graph.has_edge(u, v):
            connect(u, v)
    return graph


@st.composite
def jobs(draw, starts=True):
    """A graph and messages (source, target, nbytes, start) between its hosts."""
    graph = draw(graphs())
    hosts = [node for node, kind in graph.nodes(data="kind") if kind == "host"]
    message = st.tuples(
        st.sampled_from(hosts),
        st.sampled_from(hosts),
        st.sampled_from((0.0, 1e3, 1e6, 3e6, 1e7)),
        st.sampled_from((0.0, 0.0, 1e-3, 2.5e-3)) if starts else st.just(0.0),
    )
    messages = [m for m in draw(st.lists(message, min_size=1, max_size=12)) if m[0] != m[1]]
    assume(messages)
    return graph, messages


def as_flows(graph, messages):
    """The same messages for the reference."""
    links = Links(graph)
    router = Router(graph, links)
    flows = []
    for source, target, nbytes, start in messages:
        route = router.route(source, target)
        flows.append((start, route.latency, nbytes, dict.fromkeys(route.edges, 1.0), 1.0))
    return links.capacity, flows


@given(jobs())
def test_finish_times_are_those_of_the_reference(job):
    graph, messages = job
    assert transfers(graph, messages) == pytest.approx(
        reference.finishes(*as_flows(graph, messages)), rel=1e-9
    )


@given(jobs(), st.randoms(use_true_random=False))
def test_names_and_the_order_of_requests_change_nothing(job, random):
    """Relabelled nodes in the same file order, requests of an instant in another order."""
    graph, messages = job
    names = [f"n{i}" for i in range(len(graph))]
    random.shuffle(names)
    new = dict(zip(graph, names, strict=True))
    renamed = nx.relabel_nodes(graph, new, copy=True)
    order = list(range(len(messages)))
    random.shuffle(order)
    shuffled = [(new[messages[i][0]], new[messages[i][1]], *messages[i][2:]) for i in order]
    ends = transfers(renamed, shuffled)
    expected = transfers(graph, messages)
    assert [ends[order.index(i)] for i in range(len(order))] == pytest.approx(expected, rel=1e-12)


@given(jobs())
def test_twice_the_bandwidth_and_twice_the_bytes_take_the_same_time(job):
    graph, messages = job
    double = graph.copy()
    for _, _, data in double.edges(data=True):
        data["bandwidth"] *= 2
    assert transfers(double, [(s, t, 2 * n, at) for s, t, n, at in messages]) == transfers(
        graph, messages
    )


@given(jobs())
def test_bytes_sent_are_bytes_received(job):
    """Per message, and per link: what enters a switch leaves it."""
    graph, messages = job
    net, env, trace = network(graph)
    for source, target, nbytes, _ in messages:
        net.send(source, target, nbytes)
    env.run()
    rows = trace.messages.columns()
    assert sorted(rows["nbytes"].tolist()) == sorted(m[2] for m in messages)
    carried = net.traffic(env.now).nbytes
    ends = net.links.ends
    for node in graph:
        came = sum(carried[e] for e, (_, v) in enumerate(ends) if v == node)
        went = sum(carried[e] for e, (u, _) in enumerate(ends) if u == node)
        born = sum(n for s, _, n, _ in messages if s == node)
        kept = sum(n for _, t, n, _ in messages if t == node)
        assert came + born == pytest.approx(went + kept, abs=1e-3)


@st.composite
def systems(draw):
    """Capacities and weighted flows that use some links, perhaps several times over."""
    links = draw(st.integers(1, 8))
    capacity = [draw(st.sampled_from((0.0, 1.0, 2.0, 3.5, 10.0))) for _ in range(links)]
    flows = []
    for _ in range(draw(st.integers(1, 14))):
        used = draw(st.lists(st.integers(0, links - 1), min_size=1, max_size=4, unique=True))
        shares = [draw(st.sampled_from((1.0, 1.0, 2.0, 7.0, 0.5))) for _ in used]
        flows.append(
            (dict(zip(used, shares, strict=True)), draw(st.sampled_from((1.0, 1.0, 2.0, 0.3))))
        )
    return capacity, flows


def solved(capacity, flows, one_by_one=False):
    """Rates that the compiled loops give."""
    graph = nx.DiGraph()
    for e in range(len(capacity)):
        graph.add_edge(f"a{e}", f"b{e}", bandwidth=8.0, latency=0.0)
    arena = Arena(Links(graph))
    arena.fluid.links.capacity = capacity
    places = []
    for use, weight in flows:
        place = arena.add_flows(
            np.zeros(1, np.int64),
            np.array([len(use)]),
            1e9,
            0.0,
            {"link": list(use), "direction": list(use), "share": list(use.values())},
        )
        arena.fluid.flows[place].weight = weight
        places.append(place)
    nobody = np.zeros(0, np.int64)
    for group in [[place] for place in places] if one_by_one else [places]:
        fluid.happen(arena.fluid, 0.0, np.array(group), nobody, 0.0)
    return np.array([arena.fluid.flows[place].rate for place in places])


@given(systems(), st.booleans())
def test_rates_are_those_of_the_reference(system, one_by_one):
    """Whether the flows come at once or one after the other."""
    capacity, flows = system
    use = np.array([[f.get(e, 0.0) for e in range(len(capacity))] for f, _ in flows])
    expected = reference.max_min(capacity, use, [w for _, w in flows])
    assert solved(capacity, flows, one_by_one) == pytest.approx(expected, rel=1e-9, abs=1e-12)


@given(systems())
def test_no_link_above_capacity_and_every_flow_has_a_full_link(system):
    """On which nobody has a higher level: then no rate can grow but at a smaller one's cost."""
    capacity, flows = system
    rates = solved(capacity, flows)
    use = np.array([[f.get(e, 0.0) for e in range(len(capacity))] for f, _ in flows])
    load = rates @ use
    assert (load <= np.array(capacity) * (1 + 1e-9)).all()
    levels = rates / np.array([w for _, w in flows])
    full = load >= np.array(capacity) * (1 - 1e-9)
    for f, row in enumerate(use):
        on = np.flatnonzero((row > 0) & full)
        assert len(on)
        highest = [levels[use[:, e] > 0].max() for e in on]
        assert levels[f] >= min(highest) * (1 - 1e-9)


PLANS = [
    ("all-reduce", name)
    for name in ("ring", "recursive-doubling", "halving-doubling", "tree", "double-tree")
] + [
    ("reduce", "star"),
    ("reduce", "tree"),
    ("broadcast", "tree"),
    ("gather", "tree"),
    ("scatter", "star"),
    ("all-gather", "doubling"),
    ("all-to-all", "pairwise"),
]


@pytest.mark.parametrize(("kind", "name"), PLANS)
@given(graph=graphs(most=5), data=st.data())
def test_a_plan_message_by_message_is_that_of_the_reference(kind, name, graph, data):
    """Ranks that come at different times, several on one node, contended links."""
    hosts = [node for node, k in graph.nodes(data="kind") if k == "host"]
    n = data.draw(st.integers(1, 6))
    nodes = [data.draw(st.sampled_from(hosts)) for _ in range(n)]
    starts = [data.draw(st.sampled_from((0.0, 0.0, 1e-4, 3e-3))) for _ in range(n)]
    plan = COLLECTIVES[kind][name]([[rank] for rank in range(n)], 4e6)
    links = Links(graph)
    router = Router(graph, links)

    def route(source, target):
        if nodes[source] == nodes[target]:
            return None
        found = router.route(nodes[source], nodes[target])
        return found.latency, found.edges

    expected = reference.played(plan, route, links.capacity, starts)
    assert collective(graph, plan, "message", starts, nodes) == pytest.approx(expected, rel=1e-9)


@given(graphs(), st.booleans())
def test_routes_are_those_of_the_reference(graph, directed):
    if directed:
        graph = graph.to_directed()
    links = Links(graph)
    router = Router(graph, links)
    pairs = [(u, v) for u in graph for v in graph if u != v]
    routes = router.routes(*zip(*pairs, strict=True))
    for m, (source, target) in enumerate(pairs):
        edges = routes.edges[routes.first[m] : routes.first[m] + routes.length[m]]
        path = [source, *(links.ends[edge][1] for edge in edges)]
        assert path == reference.shortest(graph, source, target)
        assert routes.latency[m] == pytest.approx(
            sum(links.latency[edge] for edge in edges), abs=1e-18
        )
