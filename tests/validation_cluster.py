"""Stragglers and loading against papers and closed forms: tables of docs/validation.md.

``python -m tests.validation_cluster`` writes them anew; `tests/algorithms/test_published.py`
holds them to what the page says.
"""

from simulator.experiment.loading import load
from simulator.experiment.run import run
from tests.algorithms.lsgd import (
    all_reduce_times,
    crossing,
    gain,
    simulated_crossing,
    simulated_gain,
)
from tests.algorithms.test_published import HYPERPLANE
from tests.validation import write


def hyperplane():
    """Published and simulated seconds of 768 steps."""
    yield "| delay | published | simulated | difference |"
    yield "|---|---|---|---|"
    for delay, published in HYPERPLANE.items():
        scenario = load("eager-sgd-hyperplane", [f"stragglers.0.delay={delay} ms"])
        simulated = run(scenario).summary["simulated_time_s"]
        apart = simulated / published - 1
        yield f"| {delay} ms | {published} s | {simulated:.1f} s | {apart:+.2%} |"


def layered():
    """Crossings, and what a step gains at 2 s of loading."""
    yield "| workers | T_ar | T_gar | crossing, formula | simulated | gain, formula | simulated |"
    yield "|---|---|---|---|---|---|---|"
    for workers in (4, 8, 16, 32, 64, 128, 256):
        t_ar, t_gar = all_reduce_times(workers)
        cells = [f"{t_ar:.4f} s", f"{t_gar:.4f} s"]
        cells += [
            "never" if at is None else f"{at:.5f} s"
            for at in (crossing(workers), simulated_crossing(workers))
        ]
        cells += [f"{of(workers, 2.0):+.5f} s" for of in (gain, simulated_gain)]
        yield f"| {workers} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    write("hyperplane", hyperplane())
    write("lsgd", layered())
