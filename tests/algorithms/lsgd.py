"""Closed forms of layered-sgd and sync-sgd with equal workers (R1, R5), and runs of both."""

from tests.make import simulate

GPUS, COMPUTE, GRADIENT = 4, 1.231, 1.0e8
NIC, LATENCY, INSIDE, INSIDE_LATENCY = 25e9, 5e-6, 80e9, 3e-6
STEPS = 4


def all_reduce_times(workers):
    """T_ar of a flat ring over all workers in host order, T_gar of one over the hosts."""
    hosts = workers // GPUS
    route, size = 2 * (LATENCY + INSIDE_LATENCY), GRADIENT / workers
    if hosts == 1:
        flat = 2 * (workers - 1) * (2 * INSIDE_LATENCY + size * 8 / INSIDE)
        return flat, 0.0
    flat = 2 * (workers - 1) * (route + size * 8 / NIC)
    return flat, 2 * (hosts - 1) * (2 * LATENCY + GRADIENT / hosts * 8 / NIC)


def hop():
    """T_red, and T_bc: the gradient between a GPU and its host."""
    return INSIDE_LATENCY + GRADIENT * 8 / INSIDE


def gain(workers, t_io):
    """Seconds per step by which layered-sgd is ahead.

    T_io + c + T_ar against T_red + c + max(T_io, T_gar) + T_bc.
    """
    t_ar, t_gar = all_reduce_times(workers)
    return min(t_io, t_gar) + (t_ar - t_gar) - 2 * hop()


def crossing(workers):
    """T_io from which on layered-sgd is ahead, s; None if it never is."""
    t_ar, t_gar = all_reduce_times(workers)
    needed = max(0.0, 2 * hop() - (t_ar - t_gar))
    return needed if gain(workers, t_gar) > 0 else None


def simulated_gain(workers, t_io):
    """The same from two runs: what a step takes longer in sync-sgd, the first step aside."""
    return period("sync-sgd", workers, t_io) - period("layered-sgd", workers, t_io)


def period(kind, workers, t_io):
    """Seconds between the ends of two steps."""
    result = simulate(
        topology={
            "kind": "star",
            "hosts": workers // GPUS,
            "gpus_per_host": GPUS,
            "host_link": {"bandwidth": NIC, "latency": LATENCY},
            "intra_host": {"bandwidth": INSIDE, "latency": INSIDE_LATENCY},
        },
        network={"all_reduce": "ring"},
        workload={"gradient": GRADIENT, "compute": COMPUTE, "noise": "none", "sample": 0},
        storage={"kind": "local-disk", "latency": t_io},
        learning={"model": "softmax", "dataset": "digits", "batch_size": 1},
        algorithm={"kind": kind},
        stop={"steps": STEPS},
        evaluate={"every": 1e6},
        record={"spans": False, "messages": False},
    )
    steps = result.tables["steps"]
    ends = [steps["end_s"][steps["step"] == step].max() for step in (0, STEPS - 2)]
    return (ends[1] - ends[0]) / (STEPS - 2)  # nothing is loaded any more in the last step


def simulated_crossing(workers):
    """By bisection between 0 and 2 s; None if layered-sgd is never ahead."""
    low, high = 0.0, 2.0
    if simulated_gain(workers, high) <= 0:
        return None
    for _ in range(24):
        middle = (low + high) / 2
        low, high = (low, middle) if simulated_gain(workers, middle) > 0 else (middle, high)
    return high
