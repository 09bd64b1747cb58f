"""Networks on stars, and plays on them, for tests."""

from simulator.engine import Clock, Trace
from simulator.network import AlphaBeta
from simulator.network.shared import SharedNetwork
from topologies import LinkSpec, Star

M, RATE, A = 1e8, 12.5e9, 5e-6  # bytes, bytes/s and latency of a 100 Gbit/s link
NIC = LinkSpec(100e9, A)
ALL = ("flow", "message", "alpha-beta")


def made(graph, fidelity="message", **more):
    env, trace = Clock(), Trace()
    if fidelity == "alpha-beta":
        return AlphaBeta(env, graph, trace.messages, **more), env, trace
    return SharedNetwork(env, graph, trace.messages, fidelity, **more), env, trace


def begin(network, prepared, starts):
    """Play *prepared*; rank r enters at ``starts[r]``, or never.  Returns (events, ends)."""
    play = network.play(prepared, "all-reduce", lambda rank: None)
    events = [play.wait(rank) for rank in range(prepared.plan.ranks)]
    ends = {}

    def one(rank):
        yield network.env.timeout(starts[rank])
        play.enter(rank)
        yield events[rank]
        ends[rank] = network.env.now

    for rank, start in enumerate(starts):
        if start is not None:
            network.env.process(one(rank))
    return events, ends


def star(n, **more):
    return Star(n, 0, NIC, NIC, **more).build()
