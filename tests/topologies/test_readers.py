"""Every format that is read: what a small file means."""

import json

import pytest

from tests.topologies.samples import (
    ASTRA,
    CLUSTER,
    CSV,
    GOOD,
    GRAPHML,
    JSON,
    LINK,
    NVIDIA,
    SIMGRID,
    SLURM,
    nvswitch,
)
from topologies import levels, nodes_of_kind, worker_nodes
from topologies.readers import READERS, Defaults, format_of, read_topology
from topologies.readers.source import Source


def links(graph):
    return {(u, v): (d["bandwidth"], d["latency"]) for u, v, d in graph.edges(data=True)}


def test_every_format_is_known_by_its_content():
    assert list(GOOD) == list(READERS)
    for name, text in GOOD.items():
        for variant in (text, "\n" + text, text.replace("\n", "\r\n")):
            assert format_of(Source("x", variant)) == name


@pytest.mark.parametrize("name", GOOD)
def test_line_ends_and_byte_order_marks_do_not_matter(name, tmp_path):
    graphs = []
    for content in (GOOD[name], GOOD[name].replace("\n", "\r\n"), "\ufeff" + GOOD[name]):
        (tmp_path / "x").write_bytes(content.encode())
        graphs.append(read_topology(tmp_path / "x", LINK))
    for graph in graphs[1:]:
        assert list(graph.nodes(data=True)) == list(graphs[0].nodes(data=True))
        assert list(graph.edges(data=True)) == list(graphs[0].edges(data=True))


def test_node_link_json(read):
    graph = read(json.dumps(JSON))
    assert list(graph.nodes(data="kind")) == [("s", "switch"), ("a", "host"), ("b", "host")]
    assert links(graph) == {("s", "a"): (10e9, 5e-6), ("s", "b"): (2e9, 0.0)}


def test_node_link_json_of_others(read):
    old = {
        "directed": True,
        "graph": {},
        "multigraph": False,
        "nodes": [{"name": "x", "level": 1, "pos": [0, 1.5]}, {"name": "y"}],
        "links": [
            {"source": 0, "target": 1, "bandwidth": 1e9, "latency": 1e-6},
            {"source": 1, "target": 0, "bandwidth": 2e9, "latency": 1e-6},
        ],
    }
    graph = read(json.dumps(old))
    assert graph.is_directed()
    assert links(graph) == {("x", "y"): (1e9, 1e-6), ("y", "x"): (2e9, 1e-6)}
    assert graph.nodes["x"] == {"kind": "host", "level": 1, "pos": (0.0, 1.5)}
    integers = {"nodes": [{"id": 5}, 7], "links": [{"source": 5, "target": 7}]}
    assert list(read(json.dumps(integers), LINK)) == ["5", "7"]


def test_graphml(read):
    graph = read(GRAPHML)
    assert list(graph.nodes(data="kind")) == [("0", "host"), ("1", "switch"), ("2", "host")]
    assert links(graph) == {("0", "1"): (10e9, 3e-3), ("1", "2"): (1e9, 0.5)}
    assert graph.nodes["0"]["label"] == "Lyon"
    directed = GRAPHML.replace('"undirected"', '"directed"').replace(
        "</graph>",
        '<edge source="1" target="0"><data key="d35">5</data></edge>'
        '<edge source="2" target="1"><data key="d35">6</data></edge></graph>',
    )
    assert links(read(directed))["1", "0"] == (5.0, 3e-3)


@pytest.mark.parametrize(
    "text",
    [
        CSV,
        CSV.replace(",", ";"),
        CSV.replace(",", "\t"),
        "a,s,10 Gbit/s,5 us\nb,s,2 Gbit/s,0 s\n",
        '"a", "s",1.25 GB/s,"5e-6"\ns,b,2e9,0\nb,s,2 Gbit/s,0',
        "target,delay,source,bw\ns,5us,a,10Gbps\nb,0,s,2Gbps",
    ],
)
def test_edge_list(read, text):
    graph = read(text)
    assert sorted(graph.nodes(data="kind")) == [("a", "host"), ("b", "host"), ("s", "switch")]
    assert {frozenset(ends): said for ends, said in links(graph).items()} == {
        frozenset("as"): (10e9, 5e-6),
        frozenset("bs"): (2e9, 0.0),
    }


def test_edge_list_with_kinds_and_lone_nodes(read):
    graph = read(
        "source,target,bandwidth,latency,source_kind,target_kind,duplex\n"
        "z,,,,host\nh,g,1e9,0,host,worker,half\nz,h,1e9,0,,host,full\n"
    )
    assert list(graph.nodes(data="kind")) == [("z", "host"), ("h", "host"), ("g", "worker")]
    assert [data.get("duplex") for *_, data in graph.edges(data=True)] == [None, "half"]


def test_slurm(read):
    graph = read(SLURM, LINK)
    assert nodes_of_kind(graph, "host") == ["tux0", "tux1", "tux12", "gpu08", "gpu09", "login"]
    assert levels(graph) == {"s0": 0, "s1": 0, "top": 1}
    assert list(graph.adj["top"]) == ["s0", "s1"]
    assert all(said == (1e9, 1e-6) for said in links(graph).values())


def test_levels_of_slurm_switches_whatever_their_order(read):
    """A switch lies above the highest one below it, also where branches differ in depth."""
    graph = read(
        "SwitchName=root Switches=low,mid,high\nSwitchName=high Switches=mid2\n"
        "SwitchName=mid2 Switches=leaf2\nSwitchName=mid Switches=leaf1\nSwitchName=leaf1 Nodes=a\n"
        "SwitchName=leaf2 Nodes=b\nSwitchName=low Nodes=c",
        LINK,
    )
    assert levels(graph) == {
        "root": 3,
        "high": 2,
        "mid2": 1,
        "mid": 1,
        "leaf1": 0,
        "leaf2": 0,
        "low": 0,
    }


def test_astra_sim(read):
    graph = read(ASTRA)
    hosts = nodes_of_kind(graph, "host")
    assert hosts == [f"npu{i}" for i in range(24)]
    assert len(nodes_of_kind(graph, "switch")) == 12
    assert {graph.degree[host] for host in hosts} == {2 + 2 + 1}
    # npu 5 is (1, 1, 0): ring 4-5-6-7, full mesh 1-5-9, switch 5-17
    assert list(graph.adj["npu5"]) == ["npu4", "npu6", "npu1", "npu9", "dim2.switch5"]
    assert list(graph.adj["dim2.switch5"]) == ["npu5", "npu17"]
    assert graph.edges["npu5", "npu6"] == {"bandwidth": 1.6e12, "latency": 5e-8}
    assert graph.edges["npu5", "npu9"] == {"bandwidth": 8e11, "latency": 5e-7}
    assert graph.edges["npu5", "dim2.switch5"] == {"bandwidth": 4e11, "latency": 936.25e-9}
    h100 = read("topology: [Switch]\nnpus_count: [8]\nbandwidth: [400.0]\nlatency: [936.25]")
    assert (len(h100), h100.number_of_edges()) == (9, 8)
    pair = read("topology: Ring\nnpus_count: 2\nbandwidth: 1\nlatency: 0")
    assert pair.number_of_edges() == 1


def test_simgrid(read):
    graph = read(SIMGRID)
    assert nodes_of_kind(graph, "host") == ["a", "b", "c"]
    assert nodes_of_kind(graph, "switch") == ["r", "junction0"]
    assert list(graph.adj["junction0"]) == ["a", "b", "c", "r"]
    assert all(graph.edges["junction0", x]["bandwidth"] == 1e9 for x in "abc")
    assert [graph.edges["junction0", x].get("duplex") for x in "abc"] == ["half", None, "half"]
    assert graph.edges["junction0", "r"] == {"bandwidth": 8e9, "latency": 0.0, "duplex": "half"}


def test_simgrid_cluster(read):
    graph = read(CLUSTER)
    assert list(graph) == [
        "node-c_router.org",
        *(f"node-{i}.org" for i in (0, 1, 2, 7)),
    ]
    assert {*links(graph).values()} == {(1e9, 5e-5)}


def platform(*routes, hosts="abcd"):
    """A platform whose routes are written like ``"a b: l0 l1"``."""
    names = sorted({name for route in routes for name in route.split(": ")[1].split()})
    parts = [f'<host id="{host}" speed="1Gf"/>' for host in hosts]
    parts += [f'<link id="{name}" bandwidth="1Gbps" latency="1us"/>' for name in names]
    for route in routes:
        ends, taken = route.split(": ")
        inside = "".join(f'<link_ctn id="{name}"/>' for name in taken.split())
        parts.append('<route src="{}" dst="{}">{}</route>'.format(*ends.split(), inside))
    return f'<platform version="4.1"><zone id="z" routing="Full">{"".join(parts)}</zone></platform>'


@pytest.mark.parametrize(
    "routes",
    [
        ("a b: la lb", "c d: lc ld", "a c: la lc"),
        ("a b: la lb", "c d: lc ld", "d a: ld la", "b c: lb lc"),
        ("a d: la ld", "b d: lb ld", "b c: lb lc"),
    ],
)
def test_simgrid_finds_where_links_meet(read, routes):
    """Two meeting points are one as soon as a route goes from one to the other."""
    graph = read(platform(*routes))
    (switch,) = nodes_of_kind(graph, "switch")
    assert sorted(graph.adj[switch]) == list("abcd")


@pytest.mark.parametrize("last", ["d a: la", "a d: la", "d b: lb", "c d: lc"])
def test_a_meeting_point_may_turn_out_to_be_a_node(read, last):
    graph = read(platform("a b: la lb", "a c: la lc", last))
    assert not nodes_of_kind(graph, "switch")
    assert sorted(graph.adj["d"]) == ["a", "b", "c"]


def test_simgrid_backbone_between_two_switches(read):
    graph = read(platform("a c: la x lc", "b c: lb x lc", "d a: ld x la", "a b: la lb"))
    left, right = nodes_of_kind(graph, "switch")
    assert graph.has_edge(left, right)
    assert [sorted(n for n in graph.adj[s] if n in "abcd") for s in (left, right)] == [
        ["a", "b"],
        ["c", "d"],
    ]


def test_simgrid_refuses_a_bus(refusal):
    """A backbone that every pair takes has no place between two nodes."""
    assert "elsewhere on another route" in refusal(
        platform("a b: la x lb", "a c: la x lc", "b c: lb x lc", hosts="abc")
    )


def test_simgrid_zones_meet_at_their_gateways(read):
    clusters = "".join(
        f'<cluster id="{c}" prefix="{c}" suffix="" radical="0-1" speed="1Gf" bw="1Gbps" lat="0"/>'
        for c in "pq"
    )
    graph = read(
        f'<platform version="4.1"><zone id="z" routing="Full">{clusters}'
        '<link id="wan" bandwidth="10Mbps" latency="20ms" sharing_policy="SPLITDUPLEX"/>'
        '<zoneRoute src="p" dst="q" gw_src="pp_router" gw_dst="qq_router">'
        '<link_ctn id="wan" direction="UP"/></zoneRoute></zone></platform>'
    )
    assert nodes_of_kind(graph, "switch") == ["pp_router", "qq_router"]
    assert graph.edges["pp_router", "qq_router"] == {"bandwidth": 1e7, "latency": 0.02}
    assert len(graph) == 6


def test_nvidia_topo(read):
    graph = read(NVIDIA)
    assert worker_nodes(graph) == ["host0.gpu0", "host0.gpu1", "host0.gpu2"]
    assert graph.edges["host0.gpu0", "host0.gpu1"]["bandwidth"] == 4 * 200e9
    assert graph.edges["host0.gpu0", "host0.gpu2"]["latency"] == 4e-6
    assert graph.edges["host0.gpu1", "host0.gpu2"]["latency"] == 10e-6
    assert not nodes_of_kind(graph, "switch")
    given = read(NVIDIA, Defaults(bandwidth=5e9))
    assert given.edges["host0", "host0.gpu2"] == {"bandwidth": 5e9, "latency": 5e-6}


def test_nvswitch_is_a_switch(read):
    """18 links to each of 7 others are more than a GPU has; 1 to each of 3 is not."""
    h100 = read(nvswitch(8, "NV18"))
    assert h100.edges["host0.nvswitch", "host0.gpu7"]["bandwidth"] == 18 * 200e9
    assert h100.number_of_edges() == 16
    direct = read(nvswitch(4, "NV1"))
    assert not nodes_of_kind(direct, "switch")
    assert direct.number_of_edges() == 4 + 6


def test_direct_networks_and_single_nodes_are_hosts(read):
    ring = read("a,b,1e9,0\nb,c,1e9,0\nc,a,1e9,0")
    assert nodes_of_kind(ring, "host") == ["a", "b", "c"]
    assert nodes_of_kind(read('{"nodes": ["only"], "edges": []}'), "host") == ["only"]
    said = read("a,b,1e9,0,host\nb,c,1e9,0\nc,a,1e9,0")
    assert list(said.nodes(data="kind")) == [("a", "host"), ("b", "switch"), ("c", "switch")]
