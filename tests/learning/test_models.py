"""Gradients against finite differences, stacks against single workers, known optima."""

import numpy as np
import pytest

from simulator.errors import DataError
from simulator.learning import DATASETS, MODELS, prepare
from simulator.learning.datasets import Classification, Digits, Regression, Wine
from simulator.learning.models import MLP, ConvNet, LeastSquares, Quadratic, Softmax

CASES = {
    "softmax": (Softmax(), Wine()),
    "mlp": (MLP((16,)), Digits()),
    "deep": (MLP((7, 5, 6)), Wine()),
    "cnn": (ConvNet(3, 3), Digits()),
    "cnn-odd": (ConvNet(2, 4), Digits()),
    "least-squares": (LeastSquares(), Regression(200, 6)),
    "quadratic": (Quadratic(50.0), Regression(200, 6)),
}
EACH = pytest.mark.parametrize("case", CASES)


def made(case, dtype="float64"):
    settings, dataset = CASES[case]
    data = prepare(dataset, case, 0, 0.2, dtype)
    return settings.for_data(data), data


def stack(model, data, workers, batch, seed=0):
    rng = np.random.default_rng(seed)
    params = np.array(
        [model.initial(rng) + 0.01 * rng.normal(size=model.size) for _ in range(workers)]
    )
    rows = rng.integers(len(data.x), size=(workers, batch))
    return params.astype(data.dtype), data.x[rows], data.y[rows]


@EACH
def test_gradient_is_that_of_the_loss(case):
    """Central differences in random directions, float64."""
    model, data = made(case)
    params, x, y = stack(model, data, 1, 7)
    loss, grad = model.gradients(params, x, y)
    rng = np.random.default_rng(1)
    for _ in range(20):
        direction = rng.normal(size=params.shape)
        direction /= np.linalg.norm(direction)
        h = 1e-5
        up, down = (model.gradients(params + sign * h * direction, x, y)[0][0] for sign in (1, -1))
        assert (up - down) / (2 * h) == pytest.approx(
            float((grad * direction).sum()), rel=2e-4, abs=2e-7
        )
    assert loss.shape == (1,)


@EACH
def test_a_weight_counts_for_repetitions(case):
    """A sample that stands three times in a batch is as good as one of weight 3/B."""
    model, data = made(case)
    params, x, y = stack(model, data, 3, 4)
    times = np.array([[3, 1, 2, 2], [8, 0, 0, 0], [1, 1, 1, 5]])
    spelt = [np.repeat(np.arange(4), row) for row in times]
    many_x, many_y = (np.array([part[w][spelt[w]] for w in range(3)]) for part in (x, y))
    loss, grad = model.gradients(params, x, y, times / 8)
    expected_loss, expected = model.gradients(params, many_x, many_y)
    np.testing.assert_allclose(loss, expected_loss, rtol=1e-12)
    np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-12)


@EACH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_stack_is_bitwise_its_workers(case, dtype):
    model, data = made(case, dtype)
    params, x, y = stack(model, data, 9, 8)
    loss, grad = model.gradients(params, x, y)
    assert grad.dtype == dtype
    for worker in range(9):
        one = slice(worker, worker + 1)
        alone = model.gradients(params[one], x[one], y[one])
        np.testing.assert_array_equal(alone[0][0], loss[worker])
        np.testing.assert_array_equal(alone[1][0], grad[worker])


@EACH
def test_shared_parameters_are_bitwise_copies(case):
    model, data = made(case, "float32")
    params, x, y = stack(model, data, 5, 8)
    shared = model.gradients(params[:1], x, y)
    copied = model.gradients(np.repeat(params[:1], 5, 0), x, y)
    np.testing.assert_array_equal(shared[1], copied[1])


@EACH
def test_evaluation_is_the_mean_loss(case):
    model, data = made(case)
    params = model.initial(np.random.default_rng(0))
    loss, accuracy = model.evaluate(params, data.x, data.y)
    batch, _ = model.gradients(params[None], data.x[None], data.y[None])
    assert loss == pytest.approx(float(batch[0]))
    assert np.isnan(accuracy) if data.classes is None else 0 <= accuracy <= 1


@pytest.mark.parametrize("case", ["least-squares", "quadratic"])
def test_the_gradient_vanishes_at_the_known_optimum(case):
    model, data = made(case)
    best = model.optimum(data.x, data.y)
    _, grad = model.gradients(best[None], data.x[None], data.y[None])
    assert np.abs(grad).max() < 1e-12
    other = model.initial(np.random.default_rng(0)) + 0.1
    assert model.evaluate(best, data.x, data.y)[0] < model.evaluate(other, data.x, data.y)[0]


def test_accuracy_counts_the_right_answers():
    model, data = made("softmax")
    params = np.zeros(model.size)
    params[-3:] = [0, 5, 0]  # always says class 1
    assert model.evaluate(params, data.x, data.y)[1] == pytest.approx((data.y == 1).mean())


def test_cross_entropy_survives_large_logits():
    model, data = made("softmax", "float32")
    loss, grad = model.gradients(
        np.full((1, model.size), 1e4, np.float32), data.x[None], data.y[None]
    )
    assert np.isfinite(loss).all()
    assert np.isfinite(grad).all()


@pytest.mark.parametrize(
    ("settings", "dataset", "message"),
    [
        (ConvNet(), Wine(), "has no images"),
        (ConvNet(kernel=8), Digits(), "too small for kernel 8"),
        (MLP(), Regression(50), "needs classes"),
        (LeastSquares(), Wine(), "has classes"),
        (Quadratic(), Wine(), "has classes"),
    ],
)
def test_a_model_that_does_not_fit_the_data_says_so(settings, dataset, message):
    data = prepare(dataset, "data", 0, 0.2)
    with pytest.raises(DataError, match=message):
        settings.for_data(data)


def test_every_model_and_dataset_is_tried_above():
    assert {type(settings) for settings, _ in CASES.values()} == set(MODELS.values())
    assert set(DATASETS) == {
        "digits",
        "breast_cancer",
        "wine",
        "classification",
        "regression",
        "npz",
    }
    assert Classification().classes == 10


def test_initial_weights_follow_he():
    data = prepare(Digits(), "digits", 0, 0.2)
    params = MLP((400,)).for_data(data).initial(np.random.default_rng(0))
    assert params[: 64 * 400].std() == pytest.approx((2 / 64) ** 0.5, rel=0.02)
    filters = ConvNet(filters=500).for_data(data).initial(np.random.default_rng(0))
    assert filters[: 9 * 500].std() == pytest.approx((2 / 9) ** 0.5, rel=0.03)


def test_curvatures_span_the_condition():
    model, _ = made("quadratic")
    assert model.curvature.max() / model.curvature.min() == pytest.approx(50)


@EACH
def test_shapes_name_the_matrices(case):
    """Sizes by hand; drawn weights lie inside the matrices, and biases, which are zero, outside."""
    model, _ = made(case)
    sizes = {
        "softmax": [(13, 3)],
        "mlp": [(64, 16), (16, 10)],
        "deep": [(13, 7), (7, 5), (5, 6), (6, 3)],
        "cnn": [(9, 3), (27, 10)],
        "cnn-odd": [(16, 2), (8, 10)],
    }.get(case, [])
    assert [shape[1:] for shape in model.shapes] == sizes
    inside = np.zeros(model.size, bool)
    for start, rows, columns in model.shapes:
        assert not inside[start : start + rows * columns].any()
        inside[start : start + rows * columns] = True
    if sizes:
        np.testing.assert_array_equal(inside, model.initial(np.random.default_rng(0)) != 0)
