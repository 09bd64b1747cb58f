"""Gradients as events: waited for, or handed to a group before they are there."""

import numpy as np
import pytest

from simulator.algorithms.sync_sgd import SyncSGD
from simulator.errors import SimulatorError
from simulator.experiment.run import build
from simulator.learning.models.mlp import Perceptron
from tests.make import scenario, simulate


@pytest.mark.parametrize("limit", [1, 3, 64])
def test_a_gradient_handed_to_a_group_gives_what_waiting_for_it_gives(limit, monkeypatch):
    """Same tables but for the order of simultaneous rows."""

    def waiting(self, worker, rank, world):
        params, state = worker.start()
        for step in worker.steps():
            batch = yield worker.load_batch()
            loss, gradient = yield worker.compute_gradient(params, batch)
            mean = yield world.mean(rank, gradient)
            change, state = worker.update(params, mean, state)
            params = worker.apply(params, change)
            worker.finish_step(step, params, loss)

    def rows(result, table):
        return sorted(zip(*(list(column) for column in result.tables[table].values()), strict=True))

    handed = simulate(stack_limit=limit)
    monkeypatch.setattr(SyncSGD, "replica", waiting)
    waited = simulate()
    for table in ("spans", "messages", "links", "evaluations"):
        assert rows(handed, table) == rows(waited, table), table
    for name, column in waited.tables["steps"].items():
        np.testing.assert_array_equal(
            np.sort(handed.tables["steps"][name]), np.sort(column), err_msg=name
        )


def test_the_loss_of_a_gradient_is_known_when_the_gradient_is():
    cluster, _ = build(scenario())
    worker, losses = cluster.workers[0], []

    def process():
        params, _ = worker.start()
        gradient = worker.compute_gradient(params, worker.load_batch().value)
        with pytest.raises(SimulatorError, match="wait for that first"):
            assert gradient.loss
        loss, _ = yield gradient
        losses.extend([loss, gradient.loss])
        gradient.take()
        losses.append(gradient.loss)

    cluster.run([process()])
    assert losses == [losses[0]] * 3
    assert losses[0] > 0


CROWDED = {"learning": {"batch_size": 80, "dtype": "float64"}}  # shards of 35 and 36 samples


@pytest.mark.parametrize("kind", ["sync-sgd", "async-ps"])
def test_samples_that_stand_in_a_batch_several_times_are_computed_once(kind, monkeypatch):
    """Up to rounding, the run is that of the batches as they were drawn."""
    sizes = []
    gradients = Perceptron.gradients

    def counting(self, params, x, y, weights=None):
        sizes.append(x.shape[1])
        return gradients(self, params, x, y, weights)

    monkeypatch.setattr(Perceptron, "gradients", counting)
    once = simulate(algorithm={"kind": kind}, **CROWDED)
    assert set(sizes) == {max(map(len, build(scenario(**CROWDED))[0].shards))} == {36}
    monkeypatch.setattr(
        "simulator.cluster.cluster.distinct_samples", lambda shards, batch_size: batch_size
    )
    as_drawn = simulate(algorithm={"kind": kind}, **CROWDED)
    assert sizes[-1] == 80
    for name in ("loss", "end_s"):
        np.testing.assert_allclose(
            once.tables["steps"][name], as_drawn.tables["steps"][name], rtol=1e-10
        )
    assert once.summary["samples"] == as_drawn.summary["samples"] == 80 * 48


def test_crowded_results_do_not_depend_on_the_stack_limit():
    losses = [
        simulate(stack_limit=limit, learning={"batch_size": 80}).tables["steps"]["loss"]
        for limit in (1, 3, 64)
    ]
    np.testing.assert_array_equal(losses[0], losses[1])
    np.testing.assert_array_equal(losses[0], losses[2])


def test_parameters_of_any_float_give_gradients_of_the_models_dtype():
    """Also where a step was finished with them, in a stack with others."""
    cluster, _ = build(scenario())
    given, dtypes = [], []

    def process(worker, dtype):
        params, _ = worker.start()
        params = params.astype(dtype)
        for step in range(2):
            loss, grad = yield worker.compute_gradient(params, worker.load_batch().value)
            given.append(grad.tolist())
            dtypes.append(grad.dtype)
            worker.finish_step(step, params, loss)

    cluster.run([process(cluster.workers[0], np.float64), process(cluster.workers[1], np.float32)])
    assert dtypes == [np.float32] * 4
    wide = given
    cluster, _ = build(scenario())
    given = []
    cluster.run([process(cluster.workers[0], np.float32), process(cluster.workers[1], np.float32)])
    assert wide == given


def test_finished_collectives_leave_no_cycles():
    """What a sum held is freed at once, not when a collector comes by."""
    import gc

    made = scenario()
    cluster, _ = build(made)
    gc.collect()
    gc.disable()
    try:
        cluster.run(list(made.algorithm.processes(cluster)))
        cluster.workers.clear()
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        left = [type(thing).__name__ for thing in gc.garbage]
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
    assert "TogetherPlay" not in left
    assert "_Call" not in left


def test_what_is_published_is_frozen_and_replaces_a_servers_value():
    cluster, _ = build(scenario(algorithm={"kind": "async-ps"}))
    server, mine = cluster.server(), np.ones_like(cluster.job.start)
    cluster.publish(server, mine)
    assert [params is mine for params, _ in cluster.evaluated()] == [True]
    cluster.publish(cluster.workers[0], mine)
    assert not mine.flags.writeable
