"""Loss per step of compressed methods on linear regression with a power law's truth."""

import numpy as np
import pytest

from simulator.experiment.document import Document
from simulator.experiment.loading import check
from simulator.experiment.run import run
from tests.make import SMALL, merged

FEATURES, SAMPLES, KEPT, SEEDS = 2000, 8000, 40, 6
METHODS = {
    "dense": {"kind": "sync-sgd"},
    "true top-k": {"kind": "gs-sgd", "k": KEPT, "candidates": FEATURES // KEPT, "size": 0.25},
    "top-k EF": {"kind": "topk-sgd", "k": KEPT},
    "gs-SGD": {"kind": "gs-sgd", "k": KEPT, "rows": 5, "size": 0.25, "candidates": 4},
    "gTop-k": {"kind": "gtopk-sgd", "k": KEPT},
    "top-k, no EF": {"kind": "topk-sgd", "k": KEPT, "error_feedback": False},
    "one round": {
        "kind": "gs-sgd",
        "k": KEPT,
        "rows": 5,
        "size": 0.25,
        "candidates": 1,
        "second_round": "reset",
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set whose truth has few large and many small coordinates, and noise."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(SAMPLES, FEATURES)).astype(np.float32)
    truth = rng.permutation(rng.choice([-1, 1], FEATURES) / np.arange(1, FEATURES + 1))
    truth *= np.sqrt(2.7 / (truth @ truth))
    y = x @ truth + np.sqrt(1.75) * rng.normal(size=SAMPLES)
    path = tmp_path_factory.mktemp("regression")
    np.savez(path / "data.npz", x=x, y=y)
    return path


def losses(method, seed, folder):
    """Training loss before and after 400 steps of 8 workers."""
    changes = {
        "seed": seed,
        "topology": {"hosts": 8, "gpus_per_host": 0},
        "workload": {"noise": "none"},
        "evaluate": {"every": 10**9},
        "learning": {
            "model": {"kind": "least-squares"},
            "dataset": {"kind": "npz", "path": "data.npz"},
            "batch_size": 32,
            "optimizer": {"lr": 0.003},
            "test_fraction": 0.5,
        },
        "algorithm": METHODS[method],
        "stop": {"steps": 400},
    }
    result = run(check(Document(merged(SMALL, changes), "test.yaml", folder)))
    table = result.tables["evaluations"]["train_loss"]
    return table[0], table[-1]


@pytest.mark.slow
def test_loss_per_step_of_compressed_methods(folder):
    """dense ~ true top-k ~ top-k EF ~ two-round gs-SGD, better than gTop-k, one round is worst.

    N = 8, d = 2000, k = 40, a sketch of 5 x 100, 400 steps.
    """
    found = {
        method: np.array([losses(method, seed, folder) for seed in range(SEEDS)])
        for method in METHODS
    }
    start = found["dense"][:, 0].mean()
    last = {method: pairs[:, 1] for method, pairs in found.items()}
    print(f"\nstart {start:.4f}")
    for method, values in last.items():
        print(f"{method:14} {values.mean():10.4f} +- {values.std(ddof=1) / SEEDS**0.5:.4f}")
    dense = last["dense"].mean()
    assert dense < 0.4 * start
    for method in ("true top-k", "top-k EF", "gs-SGD"):
        assert last[method].mean() == pytest.approx(dense, rel=0.01)
        assert (last[method] < 0.95 * last["gTop-k"]).all()
        assert (last[method] < 0.95 * last["top-k, no EF"]).all()
    for method in ("gTop-k", "top-k, no EF"):
        assert (last[method] < 0.8 * start).all()
        assert (last[method] < last["one round"]).all()
    assert (last["one round"] > start).all()
