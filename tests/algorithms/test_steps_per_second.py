"""Steps per second of many algorithms under delays: numbers of the recurrences R1-R19.

64 workers compute for 0.641 s, 4 others of them 0.46 s longer in every step, as in
eager-SGD's experiments (Li et al., PPoPP 2020).  The expected numbers come from the
recurrences alone, over 4,000 steps, and are reproducible to 0.01.
"""

import numpy as np
import pytest

from tests.algorithms.gossip import tables

STEPS = 1000
T_AR, T_M = 0.17, 0.05
AFTER = {"kind": "d-psgd", "mixing": "after"}
EAGER = {"kind": "eager-sgd", "average_every": None}
FORWARD = {"kind": "sgp", "graph": "forward"}

CASES = [  # recurrence, algorithm, what takes time, with communication and without
    ("R1", {"kind": "sync-sgd"}, "all-reduce", 0.787, 0.908),
    ("R13", AFTER, "message", 1.147, 1.217),
    ("R14", {"kind": "d-psgd"}, "message", 1.442, 1.444),
    ("R15", FORWARD, "message", 1.163, 1.204),
    ("R16", FORWARD | {"kind": "osgp"}, "message", 1.416, 1.417),
    ("R9", {"kind": "dc-s3gd"}, "all-reduce", 1.309, 1.346),
    ("R17", {"kind": "ad-psgd"}, "message", 1.493, 1.493),
    ("R6 H=4", {"kind": "local-sgd", "period": 4}, "all-reduce", 1.113, 1.169),
    ("R6 H=16", {"kind": "local-sgd", "period": 16}, "all-reduce", 1.311, 1.329),
    ("R18", EAGER, "all-reduce", 1.233, 1.49),
    ("R19", EAGER | {"quorum": "majority"}, "all-reduce", 1.158, 1.317),
]


@pytest.mark.slow
@pytest.mark.parametrize("communication", [True, False])
@pytest.mark.parametrize(
    ("algorithm", "what", "with_it", "without"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_r1_to_r19_steps_per_second(algorithm, what, with_it, without, communication):
    hop, nbytes = 0.0, 0.001
    if communication and what == "message":
        hop = T_M / 2
    elif communication:  # a ring's bytes take T_ar, activations nothing
        nbytes = T_AR * 1e18 / 8 / (2 * 63 / 64)
    result = tables(
        64,
        algorithm,
        STEPS,
        hop=hop,
        workload={"gradient": nbytes, "compute": 0.641, "noise": "none"},
        stragglers=[{"kind": "random-workers", "count": 4, "delay": 0.46}],
        learning={"dataset": "wine", "batch_size": 1, "model": {"kind": "softmax"}},
    )
    steps = result.tables["steps"]
    # of a worker on average: without waiting for each other some are ahead at the end
    ends = np.zeros(64)
    np.maximum.at(ends, steps["worker"], steps["end_s"])
    rate = (np.bincount(steps["worker"], minlength=64) / ends).mean()
    assert rate == pytest.approx(with_it if communication else without, abs=0.01)
