"""Every format that is read: one place for each mistake."""

import json

import pytest

from tests.topologies.samples import (
    ASTRA,
    CLUSTER,
    GRAPHML,
    JSON,
    LINK,
    NVIDIA,
    SIMGRID,
    SLURM,
)
from topologies.readers import Defaults


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
