"""Speed and memory, in CPU time and as ratios to a reference in the same run.

``make bench`` prints the table.  Absolute figures (worker-steps per CPU second) depend on the
machine and are only reported; what is asserted are ratios.
"""

import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits

from simulator.experiment.document import Document
from simulator.experiment.loading import check
from simulator.experiment.run import build, run
from tests.benchmarks import textbook

pytestmark = pytest.mark.benchmark

MLP_PARAMETERS = 4810
BATCH = textbook.BATCH
STEPS = {64: 400, 1024: 100, 4096: 30}
# At N = 1024 the aim is 4 times the textbook form and 40,000 worker-steps per CPU second for
# sync-sgd, 2.5 times and 30,000 for async-ps.  It is printed beside what was reached; what is
# asserted lies a fifth below what was seen when this was written, for noise.
AIM = {"sync-sgd": (4.0, 40_000), "async-ps": (2.5, 30_000)}
GUARD = {
    "sync-sgd": {64: 2.1, 1024: 3.0, 4096: 3.2, "large": 2.0},
    "async-ps": {64: 1.9, 1024: 2.0, 4096: 2.1, "large": 1.4},
}


def small(workers):
    """Samples of a small data set: 1,024 workers own 6 or 7 each, which a batch repeats."""
    return max(8192, int(1.25 * workers) + 64)


def large(workers):
    """Samples of a data set that gives every worker two batches without repetition."""
    return int(1.25 * workers * 2 * BATCH) + 64


def workload(kind, workers, size=small):
    """MLP 64-64-10, batch 32, one worker per host; nothing left out but the files."""
    samples = size(workers)
    rate = textbook.RATE / (workers if kind == "async-ps" else 1)
    data = {
        "topology": {"kind": "star", "hosts": workers, "gpus_per_host": 0},
        "network": {"fidelity": "alpha-beta"},  # as the textbook form's; see test_network too
        "workload": {
            "compute": "100 ms",
            "noise": {"kind": "lognormal", "sigma": 0.3},
            "gradient": "10 kB",
        },
        "learning": {
            "dataset": {"kind": "classification", "samples": samples},
            "optimizer": {"lr": rate},
        },
        "algorithm": kind,
        "stop": {"steps": STEPS[workers]},
        "evaluate": {"every": 10**9},
    }
    return check(Document(data, "benchmark", Path()))


def cpu(function):
    start = time.process_time()
    function()
    return time.process_time() - start


def fastest(functions, rounds):
    """Least CPU seconds of each function, rounds interleaved."""
    times = [[cpu(function) for function in functions] for _ in range(rounds)]
    return [min(column) for column in zip(*times, strict=True)]


@pytest.mark.parametrize(
    ("workers", "size"), [(64, small), (1024, small), (4096, small), (1024, large)]
)
@pytest.mark.parametrize(
    ("kind", "reference"), [("sync-sgd", textbook.sync), ("async-ps", textbook.async_ps)]
)
def test_worker_steps_against_the_textbook(kind, reference, workers, size, benchmark):
    scenario = workload(kind, workers, size)
    data, rate = scenario.data(), scenario.learning.optimizer.lr
    fewer = max(2, STEPS[workers] // 4)
    with threadpool_limits(1, user_api="blas"):
        ours, theirs = fastest(
            [lambda: run(scenario), lambda: reference(data, workers, fewer, rate)], rounds=3
        )
        benchmark.pedantic(lambda: run(scenario), rounds=1)
    speed, base = workers * STEPS[workers] / ours, workers * fewer / theirs
    benchmark.extra_info |= {"worker_steps_per_s": round(speed), "ratio": round(speed / base, 2)}
    print(
        f"\n{kind:9} N = {workers:4}, {size(workers):6,} samples: "
        f"{speed:7,.0f} worker-steps per CPU second, "
        f"textbook {base:7,.0f}, ratio {speed / base:.2f}"
        + (f" (aim {AIM[kind][1]:,} and {AIM[kind][0]})" if workers == 1024 else "")
    )
    assert run(scenario).summary["status"] == "completed"
    assert speed / base >= GUARD[kind]["large" if size is large else workers]


def peak(kind, workers):
    """Bytes allocated at the most while the run goes on, beyond the cluster itself."""
    scenario = workload(kind, workers)
    tracemalloc.start()
    cluster, _ = build(scenario)
    data = cluster.job.data
    kept = sum(part.nbytes for part in (data.x, data.y, data.x_test, data.y_test))
    cluster.run(list(scenario.algorithm.processes(cluster)))
    trace = cluster.trace
    kept += sum(  # a list of bytes asks for an eighth more than it needs
        9 * len(table) * len(table.columns())
        for table in (trace.steps, trace.spans, trace.messages)
    )
    return cluster, tracemalloc.get_traced_memory()[1] - kept


def test_memory_of_asynchronous_workers():
    """At most 16 bytes per parameter and worker plus 8 kB, beside data and books."""
    workers = 1024
    tracemalloc.stop()
    _, used = peak("async-ps", workers)
    tracemalloc.stop()
    per_worker = used / workers
    print(f"\nasync-ps: {per_worker / 1e3:.1f} kB per worker")
    assert per_worker <= 16 * MLP_PARAMETERS + 8000


def test_replicas_that_agree_share_one_row():
    cluster, used = peak("sync-sgd", 1024)
    tracemalloc.stop()
    assert len({id(worker.params) for worker in cluster.workers}) == 1
    print(f"\nsync-sgd: {used / 1024 / 1e3:.1f} kB per worker")
    assert used / 1024 <= 25_000  # nor does each keep its gradient, which would be 19 kB more


BARE = "import time; print(time.process_time())"
LIBRARIES = "import numpy.typing, pydantic, ruamel.yaml, simpy, click; " + BARE


def least(text):
    """CPU seconds of *text* in a fresh process, minimum of several."""
    command = [sys.executable, "-c", text]
    return min(
        float(
            subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1]
        )
        for _ in range(8)
    )


@pytest.mark.parametrize(
    ("arguments", "aim_ms", "ratio"),
    [(["--help"], 150, 0.5), (["validate", "quickstart"], 450, 3.2)],
)
def test_start_up(arguments, aim_ms, ratio):
    """CPU time of a small command beyond bare Python's, against importing its libraries."""
    code = f"from simulator.cli import call; call({arguments!r}); " + BARE
    bare = least(BARE)
    spent, reference = least(code) - bare, least(LIBRARIES) - bare
    print(
        f"\npaceline {' '.join(arguments)}: {1000 * spent:.0f} ms CPU (aim {aim_ms}), "
        f"{spent / reference:.2f} times importing its libraries"
    )
    assert spent <= ratio * reference
