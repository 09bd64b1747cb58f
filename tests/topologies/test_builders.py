"""Sizes, degrees, order and routes of every kind of cluster against closed forms."""

import re
from dataclasses import fields, replace
from itertools import product

import networkx as nx
import pytest

from simulator.errors import TopologyError
from simulator.experiment.settings import dump, settings_for
from simulator.registry import Checked
from topologies import TOPOLOGIES, LinkSpec, attach, check, nodes_of_kind, worker_nodes
from topologies.builders import (
    Dragonfly,
    FatTree,
    FullyConnected,
    Hypercube,
    LeafSpine,
    MultiRegion,
    RailOptimised,
    Ring,
    Star,
    Torus,
    TwoLevel,
)

BUILT = [kind for kind in TOPOLOGIES if kind != "file"]
LINK = LinkSpec(8e9, 2e-6)
FAT, THIN = LinkSpec(40e9, 3e-6), LinkSpec(1e9, 30e-3)


def bare(cls, **settings):
    """The graph of hosts and switches only."""
    return cls(gpus_per_host=0, host_link=LINK, **settings).build()


def degrees(graph, kind):
    return {graph.degree[node] for node in nodes_of_kind(graph, kind)}


def host_diameter(graph):
    """Hops of the farthest pair of hosts."""
    hosts = nodes_of_kind(graph, "host")
    far = (nx.single_source_shortest_path_length(graph, host) for host in hosts)
    return max(found[host] for found in far for host in hosts)


@pytest.mark.parametrize("kind", BUILT)
@pytest.mark.parametrize("gpus", [0, 1, 3])
def test_every_builder_says_how_large_it_is(kind, gpus):
    topology = TOPOLOGIES[kind](gpus_per_host=gpus)
    graph = topology.build()
    check(graph)
    hosts = [f"host{index}" for index in range(topology.hosts)]
    assert nodes_of_kind(graph, "host") == hosts
    assert worker_nodes(graph) == (
        [f"{host}.gpu{gpu}" for host in hosts for gpu in range(gpus)] if gpus else hosts
    )
    assert len(worker_nodes(graph)) == topology.workers
    assert (
        graph.number_of_edges()
        == topology.fabric_links
        + topology.hosts * gpus
        + (topology.hosts * (gpus - 1) if kind == "rail-optimised" and gpus > 1 else 0) * 0
    )
    above = {"core": 2 if kind == "fat-tree" else 1, "aggregation": 1, "spine": 1}
    for node in nodes_of_kind(graph, "switch"):
        name = node.split(".")[-1].rstrip("0123456789")
        assert graph.nodes[node]["level"] == above.get(name, 0)


@pytest.mark.parametrize("kind", BUILT)
def test_every_builder_is_fit_for_scenarios(kind):
    topology = TOPOLOGIES[kind]()
    assert isinstance(topology, Checked)
    topology.check(topology.workers, topology.hosts)
    model = settings_for(type(topology))
    assert model.model_validate(dump(topology, units=True)).build() == topology
    assert model.model_validate({"kind": kind}).build() == topology
    assert {"gpus_per_host", "host_link", "intra_host"} <= {f.name for f in fields(topology)}


@pytest.mark.parametrize("kind", BUILT)
def test_with_hosts_gives_so_many_or_says_which(kind):
    topology, possible, messages = TOPOLOGIES[kind](), [], []
    for hosts in range(1, 130):
        try:
            made = topology.with_hosts(hosts)
        except TopologyError as error:
            messages.append(str(error))
            continue
        possible.append(hosts)
        assert made.hosts == hosts
        assert type(made) is type(topology)
        if hosts < 40:
            assert len(nodes_of_kind(made.build(), "host")) == hosts
    assert all(re.search(r", not \d+$", message) for message in messages)
    assert topology.hosts in possible
    for nonsense in (0, 10**7):
        with pytest.raises(TopologyError):
            topology.with_hosts(nonsense)


@pytest.mark.parametrize("kind", BUILT)
def test_an_extra_host_finds_a_place(kind):
    graph = TOPOLOGIES[kind]().build()
    switches, before = nodes_of_kind(graph, "switch"), len(graph)
    name = attach(graph, "server0", "server")
    if switches:
        assert list(graph.adj[name]) == [switches[0]]
        assert graph.edges[name, switches[0]]["bandwidth"] == 10e9
    else:
        assert (name, len(graph)) == ("host0", before)
    check(graph)


def test_gpus_share_the_nic_of_their_host():
    for kind in [kind for kind in BUILT if kind != "rail-optimised"]:
        graph = TOPOLOGIES[kind](gpus_per_host=2, intra_host=FAT).build()
        for worker in worker_nodes(graph):
            assert list(graph.adj[worker]) == [worker.split(".")[0]]
            assert graph.edges[worker, worker.split(".")[0]]["bandwidth"] == 40e9


@pytest.mark.parametrize(
    ("over", "spines", "bandwidth"), [(1, 4, 8e9), (4, 1, 8e9), (3, 1, 32e9 / 3)]
)
def test_uplinks_of_a_leaf_carry_its_share(over, spines, bandwidth):
    graph = bare(LeafSpine, hosts=16, hosts_per_leaf=4, oversubscription=over)
    assert len(graph) == 16 + 4 + spines
    assert degrees(graph, "host") == {1}
    for leaf, spine in product(range(4), range(spines)):
        assert graph.edges[f"leaf{leaf}", f"spine{spine}"] == {
            "bandwidth": pytest.approx(bandwidth),
            "latency": 2e-6,
        }


def test_leaf_spine_takes_what_is_given():
    graph = bare(LeafSpine, hosts=5, hosts_per_leaf=2, spines=3, spine_link=FAT)
    assert [n for n in graph if "leaf" in n] == ["leaf0", "leaf1", "leaf2"]
    assert degrees(graph, "switch") == {2 + 3, 1 + 3, 3}
    assert graph.edges["leaf2", "spine2"]["bandwidth"] == 40e9
    assert host_diameter(graph) == 4
    half = bare(LeafSpine, hosts=8, hosts_per_leaf=4, spines=2, oversubscription=2)
    assert half.edges["leaf0", "spine0"]["bandwidth"] == 4 * 8e9 / 2 / 2


@pytest.mark.parametrize("k", [2, 4, 6])
def test_fat_tree(k):
    graph = bare(FatTree, k=k)
    kinds = [graph.nodes[node].get("level") for node in graph]
    assert [kinds.count(level) for level in (None, 0, 1, 2)] == [
        k**3 // 4,
        k * k // 2,
        k * k // 2,
        k * k // 4,
    ]
    assert graph.number_of_edges() == 3 * k**3 // 4
    assert degrees(graph, "switch") == {k}
    assert host_diameter(graph) == 6
    # hosts pod by pod, and inside a pod edge switch by edge switch
    edges = [next(iter(graph.adj[host])) for host in nodes_of_kind(graph, "host")]
    half = k // 2
    assert edges == [
        f"pod{p}.edge{e}" for p, e in product(range(k), range(half)) for _ in range(half)
    ]
    # every core reaches every pod over exactly one aggregation switch
    for core in range(half**2):
        pods = [name.split(".")[0] for name in graph.adj[f"core{core}"]]
        assert pods == [f"pod{p}" for p in range(k)]


@pytest.mark.parametrize("dims", [(2, 2), (3, 5), (4, 4), (2, 5, 3), (4, 4, 4)])
def test_torus(dims):
    graph = bare(Torus, dims=dims)
    assert {frozenset(e) for e in graph.edges} == {
        frozenset((f"host{number(a, dims)}", f"host{number(b, dims)}"))
        for a in product(*map(range, dims))
        for b in product(*map(range, dims))
        if sorted(min((x - y) % n, (y - x) % n) for x, y, n in zip(a, b, dims, strict=True))
        == [0] * (len(dims) - 1) + [1]
    }
    assert degrees(graph, "host") == {sum(2 if n > 2 else 1 for n in dims)}
    assert nx.diameter(graph) == sum(n // 2 for n in dims)


def number(place, dims):
    """Row-major index."""
    total = 0
    for at, size in zip(place, dims, strict=True):
        total = total * size + at
    return total


@pytest.mark.parametrize("dimension", range(6))
def test_hypercube(dimension):
    graph = bare(Hypercube, dimension=dimension)
    assert (len(graph), graph.number_of_edges()) == (2**dimension, dimension * 2**dimension // 2)
    assert degrees(graph, "host") == {dimension}
    assert nx.diameter(graph) == dimension


@pytest.mark.parametrize("hosts", [1, 2, 3, 8])
def test_ring_and_full_mesh(hosts):
    ring, full = bare(Ring, hosts=hosts), bare(FullyConnected, hosts=hosts)
    assert ring.number_of_edges() == {1: 0, 2: 1}.get(hosts, hosts)
    assert nx.diameter(ring) == hosts // 2
    assert full.number_of_edges() == hosts * (hosts - 1) // 2
    assert nx.diameter(full) == min(1, hosts - 1)


@pytest.mark.parametrize(
    ("a", "p", "h", "groups"),
    [(4, 2, 2, None), (2, 1, 1, 3), (3, 1, 2, 5), (4, 2, 2, 3), (2, 3, 1, 1)],
)
def test_dragonfly(a, p, h, groups):
    graph = bare(
        Dragonfly,
        routers_per_group=a,
        hosts_per_router=p,
        global_links_per_router=h,
        groups=groups,
        local_link=FAT,
        global_link=THIN,
    )
    g = groups or a * h + 1
    assert len(graph) == g * a * (p + 1)
    remote = [e for e in graph.edges(data=True) if e[2]["latency"] == THIN.latency]
    pairs = sorted(sorted(name.split(".")[0] for name in e[:2]) for e in remote)
    names = [f"group{i}" for i in range(g)]
    assert pairs == sorted(sorted((x, y)) for i, x in enumerate(names) for y in names[:i])
    ports = [sum(u in e[:2] for e in remote) for u in nodes_of_kind(graph, "switch")]
    assert max(ports) <= h
    assert max(ports) - min(ports) <= 1
    assert host_diameter(graph) <= 5
    if groups is None:
        assert degrees(graph, "switch") == {p + a - 1 + h}
        assert host_diameter(graph) == 5
        # consecutive arrangement: the first h groups hang on the first router
        assert [
            n for n in graph.adj["group8.router0"] if "group8" not in n and "host" not in n
        ] == [
            "group0.router3",
            "group1.router3",
        ]


def test_rails():
    topology = RailOptimised(hosts=4, gpus_per_host=2, spines=2, host_link=LINK, intra_host=FAT)
    graph = topology.build()
    for host, gpu in product(range(4), range(2)):
        assert list(graph.adj[f"host{host}.gpu{gpu}"]) == [f"host{host}", f"rail{gpu}"]
        assert graph.edges[f"rail{gpu}", f"host{host}.gpu{gpu}"]["bandwidth"] == 8e9
    assert graph.edges["rail1", "spine1"]["bandwidth"] == 4 * 8e9 / 2
    only = replace(topology, spines=0).build()
    assert nx.shortest_path(only, "host0.gpu0", "host1.gpu1") in (
        ["host0.gpu0", "host0", "host0.gpu1", "rail1", "host1.gpu1"],
        ["host0.gpu0", "rail0", "host1.gpu0", "host1", "host1.gpu1"],
    )
    assert list(replace(topology, gpus_per_host=0).build().adj["host3"]) == ["rail0"]


@pytest.mark.parametrize(
    ("regions", "mesh", "links"), [(1, "full", 0), (2, "ring", 1), (4, "full", 6), (4, "ring", 4)]
)
def test_regions(regions, mesh, links):
    graph = bare(MultiRegion, regions=regions, hosts_per_region=2, mesh=mesh, wan_link=THIN)
    routers = nodes_of_kind(graph, "switch")
    wide = graph.subgraph(routers)
    assert (len(routers), wide.number_of_edges()) == (regions, links)
    assert all(data["latency"] == 30e-3 for *_, data in wide.edges(data=True))
    assert degrees(graph, "host") == {1}
    assert list(graph.adj["region0.router"])[:2] == ["host0", "host1"]


@pytest.mark.parametrize(
    ("topology", "hosts", "message"),
    [
        (FatTree(), 20, "a k-ary fat tree has k^3/4 hosts: 16 (k=4) or 54 (k=6), not 20"),
        (FatTree(), 10**6, "a k-ary fat tree has k^3/4 hosts: 93,312 (k=72), not 1,000,000"),
        (Hypercube(), 12, "a hypercube has 2^dimension hosts: 8 (dimension=3) or 16 (dimension=4)"),
        (Torus(), 7, "6 (dims=[3, 2]) or 8 (dims=[4, 2]), not 7"),
        (Torus((2, 2, 2)), 9, "8 (dims=[2, 2, 2]) or 12 (dims=[3, 2, 2]), not 9"),
        (Torus((2, 2, 2)), 1, "to: 8 (dims=[2, 2, 2]), not 1"),
        (
            Dragonfly(),
            20,
            "hosts has 1 to 9 groups: 16 (groups=2) or 24 (groups=3)",
        ),
        (Dragonfly(), 80, "has 1 to 9 groups: 72 (groups=9), not 80"),
        (MultiRegion(), 7, "of 3 hosts: 6 (hosts_per_region=2) or 9 (hosts_per_region=3)"),
    ],
)
def test_a_size_that_cannot_be_is_refused_with_the_nearest(topology, hosts, message):
    with pytest.raises(TopologyError) as caught:
        topology.with_hosts(hosts)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("topology", "hosts", "expected"),
    [
        (FatTree(), 54, FatTree(k=6)),
        (Torus((2, 2)), 36, Torus((6, 6))),
        (Torus((5, 3)), 15, Torus((5, 3))),
        (Torus((3, 5)), 15, Torus((3, 5))),
        (Torus((2, 2, 2)), 64, Torus((4, 4, 4))),
        (Torus((2, 2, 2)), 48, Torus((4, 4, 3))),
        (Hypercube(), 1, Hypercube(0)),
        (Dragonfly(), 32, Dragonfly(groups=4)),
        (MultiRegion(), 30, MultiRegion(hosts_per_region=10)),
        (Star(2, 1), 9, Star(9, 1)),
        (TwoLevel(), 9, TwoLevel(9)),
    ],
)
def test_with_hosts(topology, hosts, expected):
    assert topology.with_hosts(hosts) == expected


@pytest.mark.parametrize(
    ("topology", "message"),
    [
        (FatTree(k=5), "k must be even"),
        (FatTree(k=0), "k must be even"),
        (Torus(dims=(4,)), "dims must be two or three sizes"),
        (Torus(dims=()), "dims must be two or three sizes"),
        (Torus(dims=(1, 4)), "dims must be two or three sizes"),
        (Torus(dims=(400, 400)), "makes 160,000 hosts; there can be 1 to 100,000"),
        (Hypercube(dimension=17), "dimension must be 0 to 16"),
        (Hypercube(dimension=10**12), "dimension must be 0 to 16"),
        (Hypercube(dimension=-1), "dimension must be 0 to 16"),
        (Dragonfly(groups=10), "join at most 9 groups, not 10"),
        (Dragonfly(routers_per_group=10**6), "there can be 1 to 100,000"),
        (MultiRegion(regions=3000, hosts_per_region=1), "more than the 2,000,000"),
        (FullyConnected(hosts=2001, gpus_per_host=0), "make 2,001,000 links"),
        (Star(hosts=100_000, gpus_per_host=64), "more than the 2,000,000"),
        (Star(hosts=0), "makes 0 hosts"),
        (LeafSpine(hosts=100_000, hosts_per_leaf=1, spines=1000), "more than the 2,000,000"),
        (LeafSpine(oversubscription=1e-320), "more than the 2,000,000"),
    ],
)
def test_parameters_that_cannot_be_are_refused(topology, message):
    for refuse in (lambda: topology.check(topology.workers, topology.hosts), topology.build):
        with pytest.raises(TopologyError) as caught:
            refuse()
        assert message in str(caught.value)
