"""The compiled loops give, bit for bit, what the same Python gives uncompiled."""

import os
import subprocess
import sys

import pytest

SCRIPT = """
import simulator
for fidelity in ("flow", "message"):
    for kind in ("sync-sgd", "layered-sgd", "async-ps"):
        settings = [f"network.fidelity={fidelity}", f"algorithm.kind={kind}", "stop.steps=6"]
        settings += ["topology.kind=leaf-spine", "topology.hosts_per_leaf=1", "network.jitter=1 ms"]
        result = simulator.run(simulator.load("quickstart", settings))
        print(dict(result.summary), [sum(result.tables["links"][c]) for c in ("nbytes", "busy_s")])
"""


@pytest.mark.slow
def test_compiled_and_uncompiled_are_the_same():
    printed = []
    for disabled in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            env={**os.environ, "NUMBA_DISABLE_JIT": disabled},
            capture_output=True,
            text=True,
            check=True,
        )
        printed.append(done.stdout)
    assert printed[0].count("completed") == 6
    assert printed[0] == printed[1]
