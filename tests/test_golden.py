"""E05: the numbers of one small scenario per algorithm, kept in tests/golden.

``make golden`` rewrites them, together with a bump of MODEL_VERSION and a [NUMBERS] line in
CHANGELOG.  Times must agree to the last digit; losses to 1e-9, since matrix products may
differ in the last bits between processors.
"""

import csv
import io
from pathlib import Path

import pytest

from simulator.algorithms import ALGORITHMS
from simulator.experiment.store import table_text
from tests.make import simulate

FOLDER = Path(__file__).parent / "golden"
DISK = {"kind": "local-disk", "latency": {"kind": "gamma", "mean": "20 ms", "cv": 0.5}}


def table(kind):
    result = simulate(
        name="golden",
        algorithm={"kind": kind},
        storage=DISK,
        learning={"dtype": "float64"},
        stragglers=[{"kind": "slow-workers", "count": 1, "factor": 2.0}],
        evaluate={"every": 96},
    )
    return table_text(result.tables["evaluations"]) + table_text(result.tables["steps"])


@pytest.mark.parametrize("kind", sorted(ALGORITHMS))
def test_golden(kind, update_golden):
    path, text = FOLDER / f"{kind}.csv", table(kind)
    if update_golden:
        path.write_text(text)
    assert path.exists(), f"{path.name} has not been made yet: make golden"
    expected, got = (list(csv.reader(io.StringIO(part))) for part in (path.read_text(), text))
    assert len(got) == len(expected)
    header = None
    for old, new in zip(expected, got, strict=True):
        if new[0] in ("time_s", "worker"):
            header = new
            assert new == old
            continue
        for name, before, after in zip(header, old, new, strict=True):
            if name.endswith(("loss", "accuracy")):
                assert float(after) == pytest.approx(float(before), rel=1e-9), (new, old)
            else:
                assert after == before, (new, old)
