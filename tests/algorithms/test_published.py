"""What papers say of stragglers and of loading, where a closed form or a table says it too."""

import pytest

from simulator.experiment.loading import load
from simulator.experiment.run import run
from tests.algorithms.lsgd import crossing, gain, simulated_crossing, simulated_gain

# Li et al. (eager-SGD), PPoPP 2020, Fig. 10b: seconds of 768 synchronous steps, by delay (ms).
HYPERPLANE = {200: 468.9, 300: 545.1, 400: 625.3}


@pytest.mark.parametrize("delay", HYPERPLANE)
def test_a_late_worker_costs_synchronous_sgd_its_delay(delay):
    """The hyperplane experiment: period = compute + delay within 1 % of what was measured."""
    result = run(load("eager-sgd-hyperplane", [f"stragglers.0.delay={delay} ms"]))
    assert result.summary["steps"] == 768
    assert result.summary["simulated_time_s"] == pytest.approx(HYPERPLANE[delay], rel=0.01)
    period = result.summary["simulated_time_s"] / 768
    assert period == pytest.approx(0.41 + delay / 1000, rel=1e-3)
    assert result.tables["evaluations"]["train_loss"][-1] < 0.5


@pytest.mark.parametrize("workers", [4, 8, 32])
@pytest.mark.parametrize("t_io", [0.0, 0.01, 0.02, 0.05, 0.2, 2.0])
def test_layered_sgd_gains_what_the_formula_says(workers, t_io):
    """min(T_io, T_gar) less the two hops inside the host; with T_io = 0 nothing but those (T13)."""
    assert simulated_gain(workers, t_io) == pytest.approx(gain(workers, t_io), abs=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [4, 8, 16, 32, 64, 128, 256])
def test_layered_sgd_overtakes_where_the_formula_puts_it(workers):
    expected, found = crossing(workers), simulated_crossing(workers)
    assert (expected is None) == (found is None)
    if expected is not None:
        assert found == pytest.approx(expected, abs=1e-6)
