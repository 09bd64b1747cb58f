"""Every format that is read: what a small file means, and one place for each mistake."""

import json

import pytest

from simulator.errors import TopologyError
from topologies import LinkSpec, levels, nodes_of_kind, worker_nodes
from topologies.readers import READERS, Defaults, format_of, read_topology
from topologies.readers.source import Source

LINK = LinkSpec(1e9, 1e-6)
JSON = {
    "nodes": [{"id": "s", "kind": "switch"}, {"id": "a"}, {"id": "b"}],
    "edges": [
        {"source": "a", "target": "s", "bandwidth": "10 Gbit/s", "latency": "5 us"},
        {"source": "b", "target": "s", "bandwidth": 2e9, "latency": 0},
    ],
}
GRAPHML = """<?xml version="1.0" encoding="utf-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key attr.name="LinkSpeedRaw" attr.type="double" for="edge" id="d35"/>
<key attr.name="latency" attr.type="string" for="edge" id="d36"><default>3 ms</default></key>
<key attr.name="label" attr.type="string" for="node" id="d33"/>
<graph edgedefault="undirected">
<node id="0"><data key="d33">Lyon</data></node>
<node id="1"/>
<node id="2"/>
<edge source="0" target="1"><data key="d35">10000000000.0</data></edge>
<edge source="1" target="2"><data key="d35">1E9</data><data key="d36">0.5</data></edge>
</graph></graphml>
"""
CSV = "src,dst,bw,delay\n# racks\na,s,10 Gbit/s,5 us\n\nb,s,2e9,0\n"
SLURM = """# the leaves
SwitchName=s0 Nodes=tux[0-1,12]   # three
switchname=s1 Nodes=gpu[08-09],login LinkSpeed=800
SwitchName=top \\
    Switches=s[0-1]
"""
ASTRA = """topology: [ Ring, FullyConnected, Switch ]
npus_count: [ 4, 3, 2 ]  # number of NPUs
bandwidth: [ 200.0, 100, 50.0 ]  # GB/s
latency: [ 50.0, 500.0, 936.25 ]  # ns
"""
SIMGRID = """<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
<!-- <graphml> is another format -->
<zone id="z" routing="Full">
  <zone id="inner" routing="Full">
    <host id="a" speed="1Gf"/><host id="b" speed="1Gf"/>
    <host id="c" speed="1Gf"><prop id="x" value="y"/></host>
  </zone>
  <router id="r"/>
  <link id="la" bandwidth="125MBps" latency="50us"/>
  <link id="lb" bandwidth="1Gbps" latency="50us" sharing_policy="SPLITDUPLEX"/>
  <link id="lc" bandwidth="125000000" latency="0.00005"/>
  <link id="lr" bandwidth="1GBps" latency="0"/>
  <link id="loop" bandwidth="1GBps" latency="0" sharing_policy="FATPIPE"/>
  <route src="a" dst="b"><link_ctn id="la"/><link_ctn id="lb"/></route>
  <route src="c" dst="a"><link_ctn id="lc"/><link_ctn id="la"/></route>
  <route src="b" dst="c"><link_ctn id="lb_UP"/><link_ctn id="lc"/></route>
  <route src="r" dst="a"><link_ctn id="lr"/><link_ctn id="la"/></route>
  <route src="a" dst="a"><link_ctn id="loop"/></route>
</zone></platform>
"""
CLUSTER = (
    '<platform version="4.1"><cluster id="c" prefix="node-" suffix=".org" radical="0-2,7" '
    'speed="1Gf" bw="125MBps" lat="50us"/></platform>'
)
NVIDIA = """\t\x1b[4mGPU0\tGPU1\tGPU2\tmlx5_0\tCPU Affinity\tNUMA Affinity\x1b[0m
GPU0\t X \tNV4\tPIX\tPXB\t0-31\t0
GPU1\tNV4\t X \tSYS\tSYS\t0-31\t0
GPU2\tPIX\tSYS\t X \tPHB\t\t
mlx5_0\tPXB\tSYS\tPHB\t X

Legend:

  X    = Self
"""


def nvswitch(gpus, lanes):
    names = [f"GPU{i}" for i in range(gpus)]
    rows = [[name, *("X" if name == other else lanes for other in names)] for name in names]
    return "\n".join("\t".join(row) for row in [["", *names], *rows]) + "\n"


GOOD = {
    "node-link JSON": json.dumps(JSON),
    "GraphML": GRAPHML,
    "SimGrid platform": SIMGRID,
    "Slurm topology.conf": SLURM,
    "nvidia-smi topo -m": NVIDIA,
    "ASTRA-sim network.yml": ASTRA,
    "CSV edge list": CSV,
}


@pytest.fixture
def read(tmp_path):
    def reader(text, defaults=None, name="cluster.txt"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_topology(path, defaults)

    return reader


@pytest.fixture
def refusal(read, tmp_path):
    """The message without the folder."""

    def refused(text, defaults=None):
        with pytest.raises(TopologyError) as caught:
            read(text, defaults)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return refused


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


def changed(**changes):
    return json.dumps({**JSON, **changes})


def edges(**changes):
    return changed(edges=[{**JSON["edges"][0], **changes}, JSON["edges"][1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # nothing that is known
        ("", "cluster.txt: is empty; known: node-link JSON"),
        ("hello world", "cluster.txt: is in no format that is known; known: node-link JSON"),
        ("<html/>", "is in no format"),
        ("[1]", "is in no format"),
        # JSON
        ('{"nodes": [}', "cluster.txt:1:12: is no JSON: Expecting value"),
        ("{" + '"a":{' * 50_000, "is nested too deeply"),
        ('{"nodes": [' + "9" * 5000 + "]}", "is no JSON: Exceeds the limit"),
        ("{}", "expected a mapping with a list 'nodes' and one list 'edges'"),
        (
            changed(links=[]),
            "one list 'edges' (or 'links'), not one of ['nodes', 'edges', 'links']",
        ),
        (changed(nodes=[], edges=[]), "cluster.txt: there is no node in it"),
        (changed(nodes=[["a"]]), "cluster.txt: nodes.0: expected a node with an 'id' as text"),
        (changed(nodes=["a", "a"], edges=[]), "nodes.1: there is a node 'a' already"),
        (changed(nodes=[""], edges=[]), "nodes.0: expected a name of 1 to 256 characters, not ''"),
        (changed(nodes=["x" * 300]), "nodes.0: expected a name of 1 to 256 characters"),
        (
            changed(nodes=[{"id": "a", "kind": "swich"}]),
            "nodes.0: no kind 'swich' of nodes; did you mean 'switch'?",
        ),
        (changed(nodes=[{"id": "a", "kind": ["x"]}]), "nodes.0: no kind ['x'] of nodes"),
        (changed(nodes=[{"id": "a", "level": "top"}]), "level must be a whole number, not 'top'"),
        (changed(edges=[7]), "edges.0: expected a mapping, not 7"),
        (edges(source="x"), "edges.0: source names no node of the list 'nodes': 'x'"),
        (edges(source=3), "edges.0: source names no node of the list 'nodes': 3"),
        (edges(source=-1), "source names no node of the list 'nodes': -1"),
        (edges(source=True), "source names no node of the list 'nodes': True"),
        (edges(source="s"), "edges.0: link 's' - 's' connects a node with itself"),
        (edges(source="b"), "edges.1: link 'b' - 's' is there already (cluster.txt: edges.0)"),
        (edges(bandwidth=None), "edges.0: link 'a' - 's' has no bandwidth; give it one, or"),
        (edges(latency=""), "edges.0: link 'a' - 's' has no latency"),
        (edges(bandwidth=0), "bandwidth of link 'a' - 's': 0 is zero; expected a rate"),
        (edges(bandwidth="10 Gbit"), "'10 Gbit' is a size; expected a rate"),
        (edges(bandwidth=True), "expected a rate such as '10 Gbit/s', not True"),
        (edges(bandwidth=[1]), "expected a rate such as '10 Gbit/s', not [1]"),
        (edges(bandwidth=10**400), "is too large a number"),
        (edges(latency=float("nan")), "latency of link 'a' - 's': nan is not finite"),
        (edges(latency=-1), "latency of link 'a' - 's': -1 is negative"),
        (edges(duplex="none"), "has no duplex 'none'; known: full, half"),
        (changed(nodes=["s", "a", "b", "c"]), "cluster.txt: 'c' cannot be reached from 's'"),
        (
            changed(directed=True),
            "cluster.txt: 'a' cannot be reached from 's'",
        ),
        (
            changed(nodes=[{"id": x, "kind": "switch"} for x in "sab"]),
            "cluster.txt: there is no node of kind 'worker' or 'host'",
        ),
        # GraphML
        (GRAPHML.replace("</graphml>", ""), "cluster.txt:13:1: is no XML: no element found"),
        (GRAPHML.replace('target="2"', 'target="9"'), "cluster.txt:11: there is no node '9'"),
        (GRAPHML.replace('id="2"', 'id="1"'), "cluster.txt:9: there is a node '1' already"),
        (GRAPHML.replace("1E9", "fast"), "cluster.txt:11: bandwidth of link '1' - '2': 'fast'"),
        (GRAPHML.replace('target="2"', 'target="2" directed="true"'), "11: directed and undir"),
        (GRAPHML.replace('<node id="2"/>', '<node id="2"><graph/></node>'), "9: node '2' holds a"),
        (GRAPHML.replace('<node id="2"/>', "<hyperedge/>"), "9: a <hyperedge> is no link"),
        ("<graphml></graphml>", "expected one <graph>, not 0"),
        ("<graphml>" + "<a>" * 200, "cluster.txt:1: <a> is nested too deeply"),
        # CSV
        ("a,b,1e9\n", "cluster.txt:1: link 'a' - 'b' has no latency"),
        ("src,dst\na,b,c", "cluster.txt:2: expected 2 cells (source, target), not 3"),
        ("src,dst,bw,lag\na,b,1,1", "cluster.txt:1: no column 'lag'; known: bandwidth, duplex"),
        ("src,dst,to\na,b,1", "cluster.txt:1: there are two columns for target"),
        ("src,bw\na,1", "cluster.txt:1: needs the columns source and target"),
        ("a,b,1,1\n,c,1,1", "cluster.txt:2: has no source: ',c,1,1'"),
        ("# x\n\na,b,10 m,1", "cluster.txt:3: bandwidth of link 'a' - 'b': '10 m': no unit 'm'"),
        ('a,b,1,1\n"c,b,1,1', "cluster.txt:2: is no CSV: unexpected end of data"),
        (
            "a,b,1,1\nb,a,2,1",
            "cluster.txt:2: link 'b' - 'a' differs from its way back (cluster.txt:1",
        ),
        ("a,b,1,1\na,b,1,1", "cluster.txt:2: link 'a' - 'b' is there already (cluster.txt:1)"),
        ("a,b,1,1\nb,a,1,1\nb,a,1,1", "cluster.txt:3: link 'b' - 'a' is there already"),
        ("a,b,1,1,host\nb,a,1,1,host,switch", "cluster.txt:2: 'a' is a switch here, host before"),
        # Slurm
        ("SwitchName=s Nodes=a[3-1]", "'a[3-1]': '3-1' is no number or rising range"),
        ("SwitchName=s Nodes=a[1", "cluster.txt:1: 'a[1' is no host list such as 'tux[0-3,12]'"),
        ("SwitchName=s Nodes=a[0-9999999]", "stands for more than 100,000 names"),
        ("SwitchName=s Nodes=a[0-999][0-999]", "stands for more than 100,000 names"),
        ("SwitchName=s Nods=a", "cluster.txt:1: 'Nods=a' is no setting of a switch; did you mean"),
        ("SwitchName=s", "cluster.txt:1: needs Nodes or Switches"),
        ("SwitchName=s Nodes=a\nNodes=b", "cluster.txt:2: has no SwitchName"),
        ("SwitchName=s Nodes=a\nSwitchName=s Nodes=b", "2: there is a switch 's' already"),
        ("SwitchName=s Nodes=a,b\nSwitchName=t Nodes=b", "cluster.txt:2: 'b' is listed twice"),
        (
            "SwitchName=leaf Nodes=a\n\nSwitchName=t \\\nSwitches=leav",
            "3: no switch 'leav'; did you",
        ),
        # ASTRA-sim
        (ASTRA.replace("Ring", "Rings"), "topology.0: must be one of Ring, FullyConnected, Switch"),
        (ASTRA.replace("[ 4, 3, 2 ]", "[4, 3]"), "npus_count: has 2 values, but topology has 3"),
        (ASTRA.replace("[ 4,", "[ 4.5,"), "npus_count.0: must be a whole number from 1 to 100,000"),
        (ASTRA.replace("50.0 ]", "0 ]"), "bandwidth.2: must be a number of GB/s above 0, not 0"),
        (ASTRA.replace("500.0", "soon"), "latency.1: must be a number of ns, not 'soon'"),
        (
            ASTRA.replace("latency", "latencies"),
            "'latencies': is no setting; did you mean 'latency'",
        ),
        (
            ASTRA.split("latency", maxsplit=1)[0],
            "latency: is missing; give one value per dimension",
        ),
        (ASTRA.replace("[ 4, 3, 2 ]", "[9999, 9999, 9]"), "npus_count: makes 899,820,009 NPUs"),
        (ASTRA.replace("[ 4, 3, 2 ]", "[4, 9000, 2]"), "makes 72,000 NPUs with 324,"),
        (ASTRA.replace("]", "", 1), "cluster.txt:2: is no YAML"),
        (ASTRA + "topology: [Ring]", "is no YAML"),
        ("topology: &a [Ring]\nx: *a", "cluster.txt:1: anchors, aliases and tags are not read"),
        ("topology: !!python/name:os.system", "cluster.txt:1: anchors, aliases and tags"),
        ("topology: " + "[" * 5000, "cluster.txt: is no YAML"),
        (ASTRA + "#" * 70_000, "is too long for a network.yml"),
        # SimGrid
        (SIMGRID.replace('dst="b"', 'dst="x"'), "cluster.txt:16: there is no host or router 'x'"),
        (
            SIMGRID.replace('<link_ctn id="la"/><link_ctn id="lb"/>', ""),
            "16: takes no link; it needs",
        ),
        (
            SIMGRID.replace('<link_ctn id="lb"/>', '<link_ctn id="lx"/>'),
            "16: there is no link 'lx'",
        ),
        (
            SIMGRID.replace('id="lc" bandwidth', 'id="lb" bandwidth'),
            "13: there is a link 'lb' already",
        ),
        (
            SIMGRID.replace('<router id="r"/>', '<router id="a"/>'),
            "10: there is a node 'a' already",
        ),
        (SIMGRID.replace("SPLITDUPLEX", "FATPIPE"), "12: sharing_policy 'FATPIPE' is not read"),
        (
            SIMGRID.replace("125MBps", "125MBits"),
            "11: bandwidth of link 'a' - 'junction0': '125MBits'",
        ),
        (SIMGRID.replace("<router", "<peer"), "cluster.txt:10: <peer> is not read; known: cluster"),
        (
            SIMGRID.replace('<link_ctn id="lr"/><link_ctn id="la"/>', '<link_ctn id="lb"/>'),
            "cluster.txt:19: link 'lb' lies elsewhere on another route",
        ),
        (CLUSTER.replace("bw=", 'bb_bw="1GBps" bw='), "a backbone through which all hosts"),
        (CLUSTER.replace("bw=", 'topology="TORUS" bw='), "topology 'TORUS' is not read"),
        (CLUSTER.replace("0-2,7", "2-0"), "cluster.txt:1: radical: '[2-0]': '2-0' is no number"),
        # nvidia-smi
        (
            NVIDIA.replace("GPU1\tNV4", "GPU1\tNV2"),
            "cluster.txt:2: GPU0 - GPU1 is 'NV4' in one row",
        ),
        (NVIDIA.replace("NV4", "XYZ"), "cluster.txt:2: no class 'XYZ' of links; known: X, NV1"),
        (NVIDIA.replace("NV4", "NV19"), "cluster.txt:2: no class 'NV19' of links"),
        (NVIDIA.replace("GPU2\tPIX\tSYS\t X \tPHB", "GPU2\tPIX"), "4: expected 3 cells, not 1"),
        (NVIDIA.replace("\nGPU2", "\nGPU9"), "cluster.txt: the table has no row for GPU2"),
    ],
)
def test_a_mistake_is_told_with_its_place(refusal, text, message):
    slurm = "switchname" in text.lower()
    found = refusal(text, LINK if slurm else None)
    assert message in found
    assert found.startswith("cluster.txt")
    assert found.count("\n") <= 4


def test_slurm_needs_defaults(refusal):
    for defaults in (None, Defaults(1e9), Defaults(latency=0.0)):
        assert "give both beside its path" in refusal(SLURM, defaults)


def test_the_first_twenty_problems_are_told_and_the_others_counted(refusal):
    rows = "\n".join(f"a{i},b,-1,0" for i in range(100_000))
    lines = refusal(rows).splitlines()
    assert len(lines) == 21
    assert lines[19].startswith("cluster.txt:20: bandwidth of link 'a19' - 'b': '-1' is negative")
    assert lines[20] == "... and 99,980 more problems"


def test_control_characters_do_not_reach_the_terminal(refusal):
    for text in ("a\x1b[31m,a\x1b[31m,1,1", json.dumps({"nodes": ["\x1b]0;x\x07"], "edges": [1]})):
        assert "\x1b" not in refusal(text)
