"""E01: the same scenario gives the same bytes in every process."""

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

import scenarios

CODE = """
import sys
from pathlib import Path
from simulator.experiment.run import run
from simulator.experiment.loading import load
from simulator.experiment.store import save
for kind in sys.argv[2:]:
    save(run(load("quickstart", [f"algorithm.kind={kind}", "stop.steps=20"])), Path(sys.argv[1]))
"""


def digest(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }


def test_hash_seeds_and_threads_change_nothing(tmp_path):
    from simulator.algorithms import ALGORITHMS

    found = []
    for seed, threads in ((0, 1), (1, 2), (2, 4)):
        out = tmp_path / str(seed)
        environment = {
            **os.environ,
            "PYTHONHASHSEED": str(seed),
            "OPENBLAS_NUM_THREADS": str(threads),
        }
        subprocess.run(
            [sys.executable, "-c", CODE, str(out), *sorted(ALGORITHMS)], check=True, env=environment
        )
        found.append(digest(out))
    assert found[0] == found[1] == found[2]
    assert len(found[0]) >= 7 * len(ALGORITHMS)


@pytest.mark.slow
@pytest.mark.parametrize("name", scenarios.names())
def test_every_shipped_scenario_gives_the_same_bytes(name, tmp_path):
    found = []
    for seed in (0, 1):
        out = tmp_path / str(seed)
        subprocess.run(
            [sys.executable, "-m", "simulator", "run", name, "-q", "-o", str(out)],
            check=True,
            env={**os.environ, "PYTHONHASHSEED": str(seed)},
            stdout=subprocess.DEVNULL,
        )
        found.append(digest(out))
    assert found[0] == found[1]
