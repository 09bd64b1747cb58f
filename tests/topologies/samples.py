"""Small files of every format that is read, as they look in reality."""

import json

from topologies import LinkSpec

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
