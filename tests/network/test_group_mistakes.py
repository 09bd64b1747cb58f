"""What a group says to an algorithm that uses it wrongly."""

import numpy as np
import pytest

import topologies
from simulator.engine import Clock, Trace
from simulator.errors import GroupError
from simulator.network import AlphaBeta, Group
from topologies import LinkSpec, Star


@pytest.fixture
def world():
    link = LinkSpec(1e9, 1e-6)
    graph = Star(2, 0, link, link).build()
    nodes = topologies.worker_nodes(graph)
    return Group(AlphaBeta(Clock(), graph, Trace().messages), nodes, 8.0, "world")


def joined(world, values):
    for rank, value in enumerate(values):
        world.mean(rank, value)
    world.network.env.run()


def test_ranks_must_call_the_same_operation(world):
    world.broadcast(0, 1.0, shape="star")
    with pytest.raises(GroupError, match="call 0 of group 'world': rank 1 asks for"):
        world.broadcast(1, shape="tree")


@pytest.mark.parametrize("rank", [2, -1])
def test_a_rank_that_is_not_there_is_named(world, rank):
    with pytest.raises(GroupError, match=f"'world' has no rank {rank}; its ranks are 0..1"):
        world.mean(rank, np.zeros(2))


def test_shapes_must_agree(world):
    with pytest.raises(GroupError, match=r"shapes \(2,\) and \(1,\)"):
        joined(world, [np.zeros(2), np.zeros(1)])


def test_a_sum_needs_something_to_add_up(world):
    with pytest.raises(GroupError, match="no rank gave anything"):
        joined(world, [None, None])
