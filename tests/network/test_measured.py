"""Measured collectives: the output of nccl-tests, and costs interpolated from it."""

import os
from pathlib import Path

import pytest

from simulator.engine import Clock, Trace
from simulator.errors import DataError
from simulator.network import COLLECTIVES, AlphaBeta
from simulator.network.measured import (
    CostTable,
    MeasuredCosts,
    Measurement,
    bus_bandwidth,
    completed,
    counted_size,
    read_measurements,
)
from simulator.network.table import TableNetwork
from simulator.network.transfers import seconds_of
from topologies import Star, worker_nodes

RANKS = "".join(
    f"#  Rank {rank:2d} Group  0 Pid 1{rank} on node{rank // 2} device  {rank % 2} [0x0] A100\n"
    for rank in range(4)
)
NEW = (
    "# Collective test starting: all_reduce_perf\n"
    + RANKS
    + """\
#       size         count      type   redop    root     time   algbw   busbw #wrong     time
#        (B)    (elements)                               (us)  (GB/s)  (GB/s)            (us)
   1024 256  float sum -1 20.00 0.05 0.08 0 19.0 0.05 0.08 0
   1048576 262144  float sum -1 200.00 5.24 7.86 0 199.0 5.24 7.86 0
# Collective test starting: all_gather_perf
"""
    + RANKS
    + """\
   0 0  float none -1 0.10 0.00 0.00 0 0.1 0.00 0.00 0
   1048576 65536  float none -1 100.00 10.00 7.50 0 99.0 10.00 7.50 0
"""
)
OLD = """\
0: #       size         count    type   redop     time   algbw   busbw  error     time   algbw
0:         1024           256   float             20.00    0.05    0.08    N/A    19.0 0.05 0.08 N/A
[1,0]<stdout>:     1048576   262144   float     sum   200.00  5.24  7.86  N/A  199.0 5.24 7.86 N/A
"""


def written(tmp_path, text, name="nccl.log"):
    path = tmp_path / name
    path.write_text(text)
    return path


def test_several_tests_in_one_file(tmp_path):
    assert read_measurements(written(tmp_path, NEW)) == [
        Measurement("all-reduce", 2, 2, 1024.0, 20e-6),
        Measurement("all-reduce", 2, 2, 1048576.0, 200e-6),
        Measurement("all-gather", 2, 2, 1048576.0, 100e-6),
    ]


def test_old_columns_and_prefixes(tmp_path):
    assert read_measurements(written(tmp_path, OLD)) == [
        Measurement(None, None, None, 1024.0, 20e-6),
        Measurement(None, None, None, 1048576.0, 200e-6),
    ]


def test_a_table_of_ones_own(tmp_path):
    text = "kind,nodes,ranks_per_node,nbytes,time_s\nall-reduce,2,8,1e6,0.001\n"
    assert read_measurements(written(tmp_path, text)) == [
        Measurement("all-reduce", 2, 8, 1e6, 0.001)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no measurements"),
        ("nothing here\n", "no measurements"),
        ("kind,nodes\nall-reduce,2\n", "no column ranks_per_node, nbytes, time_s"),
        ("kind,nodes,ranks_per_node,nbytes,time_s\nall-reduce,2,8,1e6,-1\n", "nccl.log:2"),
        ("kind,nodes,ranks_per_node,nbytes,time_s\nall-redcue,2,8,1e6,1\n", "nccl.log:2"),
        ("kind,nodes,ranks_per_node,nbytes,time_s\nall-reduce,2,8\n", "nccl.log:2"),
    ],
)
def test_wrong_files_are_refused(tmp_path, text, message):
    with pytest.raises(DataError, match=message):
        read_measurements(written(tmp_path, text))


def test_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "x.log"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="no UTF-8"):
        read_measurements(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_measurements(tmp_path / "nowhere")


TABLE = CostTable(
    [
        Measurement("all-reduce", 2, 8, 1e6, 1e-3),
        Measurement("all-reduce", 2, 8, 1e8, 1e-1),
        Measurement("all-reduce", 2, 8, 1e4, 1e-4),
        Measurement("all-reduce", 8, 8, 1e6, 4e-3),
        Measurement("all-reduce", 8, 8, 1e8, 4e-1),
    ]
)


def test_between_sizes_and_nodes_logarithms_are_interpolated():
    assert TABLE.seconds("all-reduce", 2, 8, 1e7) == pytest.approx(1e-2)
    assert TABLE.seconds("all-reduce", 4, 8, 1e6) == pytest.approx(2e-3)
    assert TABLE.seconds("all-reduce", 2, 8, 1e5) == pytest.approx(10**-3.5)


def test_beyond_the_sizes():
    assert TABLE.seconds("all-reduce", 2, 8, 1.0) == pytest.approx(1e-4)
    assert TABLE.seconds("all-reduce", 2, 8, 0.0) == pytest.approx(1e-4)
    assert TABLE.seconds("all-reduce", 2, 8, 1e9) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("kind", "nodes", "ranks"), [("reduce", 2, 8), ("all-reduce", 16, 8), ("all-reduce", 2, 4)]
)
def test_what_was_not_measured_is_not_guessed(kind, nodes, ranks):
    with pytest.raises(DataError, match="all-reduce on 2 x 8, all-reduce on 8 x 8"):
        TABLE.seconds(kind, nodes, ranks, 1e6)


def test_what_a_file_does_not_say_is_given_beside_it(tmp_path):
    found = read_measurements(written(tmp_path, OLD))
    with pytest.raises(DataError, match="does not say collective, nodes, ranks_per_node"):
        list(completed(found, MeasuredCosts("nccl.log")))
    full = list(completed(found, MeasuredCosts("nccl.log", "all-reduce", 2, 8)))
    assert full[0] == Measurement("all-reduce", 2, 8, 1024.0, 20e-6)
    with pytest.raises(DataError, match="did you mean 'all-reduce'"):
        list(completed(found, MeasuredCosts("nccl.log", "allreduce", 2, 8)))


def test_collectives_cost_what_was_measured():
    graph = Star(2, 8).build()
    network = TableNetwork(Clock(), graph, Trace().messages, TABLE)
    hosts = [list(range(8)), list(range(8, 16))]
    plan = COLLECTIVES["all-reduce"]["ring"](hosts, 1e7)
    assert seconds_of(network, plan, worker_nodes(graph)) == pytest.approx(1e-2)
    assert not network.remarks


def test_what_was_not_measured_costs_what_the_model_says_and_is_told():
    graph = Star(2, 8).build()
    network = TableNetwork(Clock(), graph, Trace().messages, TABLE)
    modelled = AlphaBeta(Clock(), graph, Trace().messages)
    for plan, nodes in (
        (COLLECTIVES["all-reduce"]["ring"]([[*range(8)], [8]], 1e7), worker_nodes(graph)[:9]),
        (COLLECTIVES["reduce"]["star"]([[*range(8)], [*range(8, 16)]], 1e7), worker_nodes(graph)),
    ):
        assert network.price(plan, nodes).seconds == modelled.price(plan, nodes).seconds
    uneven, other = network.remarks
    assert "1 to 8 ranks on a host" in uneven
    assert "reduce was not measured on 2 x 8" in other


def test_bandwidths_are_those_of_nccl_tests():
    """algbw = size / time; busbw = algbw 2(n-1)/n for all-reduce, (n-1)/n for all-gather."""
    assert bus_bandwidth("all-reduce", 8, 1e9, 0.5) == (2e9, pytest.approx(3.5e9))
    assert bus_bandwidth("all-gather", 8, 1e9, 0.5) == (2e9, pytest.approx(1.75e9))
    assert bus_bandwidth("broadcast", 8, 1e9, 0.5) == (2e9, 2e9)
    assert counted_size("gather", 10.0, 4) == 40.0


TRACES = os.environ.get("PACELINE_TRACES")


@pytest.mark.skipif(not TRACES, reason="needs the folder that PACELINE_TRACES names")
@pytest.mark.parametrize(
    ("file", "rows", "kinds", "shape"),
    [
        ("nccl_aws_p4de/all_reduce_2x_p4de.24xlarge.log", 29, {None}, (None, None)),
        ("nccl_superbench_a100x8/nccl_allgather.log", 29, {None}, (1, 8)),
        (
            "nccl_h100_xxrjun/multi_N10_G4.log",
            50,
            {"all-reduce", "all-gather", "reduce-scatter", "all-to-all", "sendrecv"},
            (10, 4),
        ),
    ],
)
def test_real_logs(file, rows, kinds, shape):
    found = read_measurements(Path(TRACES) / file)
    assert {one.kind for one in found} == kinds
    assert {(one.nodes, one.ranks_per_node) for one in found} == {shape}
    assert len(found) == rows
