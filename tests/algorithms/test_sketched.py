"""Sketched-SGD and gs-SGD against plain loops: T40-T42, and what a sketch finds."""

import numpy as np
import pytest

from simulator.engine import Streams
from simulator.learning.compressors import count_sketch
from tests.algorithms.compressed import RATE, STEPS, TIGHT, follows, largest, run

VECTORS = np.array([*range(104, 112), *range(136, 139)])  # biases of the small model
MATRICES = np.setdiff1d(np.arange(139), VECTORS)
MOMENTUM = {"momentum": 0.9, "weight_decay": 0.01}
MODES = ["exact", "reset", "subtract"]


class Hashes:
    """Count-Sketch in plain loops, with the places and signs that the run has drawn."""

    def __init__(self, rows, columns, size, seed=0):
        drawn = count_sketch(rows, columns, size, Streams(seed).get("sketch"))
        self.places, self.signs = drawn.buckets.tolist(), drawn.signs.tolist()
        self.rows, self.columns, self.size = rows, columns, size

    def table(self, vector):
        found = np.zeros((self.rows, self.columns))
        for j in range(self.rows):
            for x in range(self.size):
                found[j, self.places[j][x]] += self.signs[j][x] * vector[x]
        return found

    def estimates(self, table):
        guesses = [
            [self.signs[j][x] * table[j, self.places[j][x]] for j in range(self.rows)]
            for x in range(self.size)
        ]
        return np.array([np.median(one) for one in guesses])


class Sketched:
    """Workers with u and v; every step finds coordinates in the sum of their sketches."""

    def __init__(self, plain, k, rows=5, columns=11, extra=4, mu=0.0, wd=0.0, mode="exact"):
        self.hashes = Hashes(rows, columns, len(MATRICES))
        self.n, self.k, self.asked = plain.n, k, min(extra * k, len(MATRICES))
        self.mu, self.wd, self.mode = mu, wd, mode
        self.u, self.v = plain.zeros(), plain.zeros()

    def step(self, grads, w):
        """What the rate is multiplied with, of the gradients at *w*."""
        self.u = self.mu * self.u + grads + self.wd * w
        self.v = self.v + self.u
        tables = [self.hashes.table(v[MATRICES]) for v in self.v]
        guesses = self.hashes.estimates(np.sum(tables, axis=0))
        chosen = largest(guesses, self.asked)
        at, found = MATRICES[chosen], guesses[chosen]
        if self.mode == "exact":
            sums = self.v[:, at].sum(0)
            best = largest(sums, self.k)
            at, found = at[best], sums[best]
        g = np.zeros(len(w))
        g[at] = found / self.n
        g[VECTORS] = self.v[:, VECTORS].mean(0)
        if self.mode == "subtract":
            self.v[:, at] -= found / self.n
        else:
            self.u[:, at] = 0.0
            self.v[:, at] = 0.0
        self.v[:, VECTORS] = 0.0
        return g


def loop(plain, rates=None, **options):
    sketched, w = Sketched(plain, **options), plain.start
    for t in range(plain.steps):
        rate = RATE if rates is None else rates[t]
        w = w - rate * sketched.step(plain.grads(w, t), w)
        yield w


@pytest.mark.parametrize("hosts", [1, 3, 4])
def test_t42_sketched_sgd_against_a_plain_loop(hosts, monkeypatch):
    """Algorithm 3, with means; columns = 0.4 d / rows."""
    plain, got = run(monkeypatch, "sketched-sgd", hosts, rule=MOMENTUM, density=0.05)
    follows(got, loop(plain, k=7, mu=0.9, wd=0.01))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("hosts", [1, 3, 4])
def test_t42_gs_sgd_against_a_plain_loop(hosts, mode, monkeypatch):
    settings = {"k": 6, "rows": 3, "size": 0.7, "candidates": 2, "second_round": mode}
    plain, got = run(monkeypatch, "gs-sgd", hosts, rule=MOMENTUM, **settings)
    follows(got, loop(plain, k=6, rows=3, columns=32, extra=2, mu=0.9, wd=0.01, mode=mode))


@pytest.mark.parametrize(("rows", "columns"), [(1, 56), (4, 14)])
def test_t41_sketches_of_an_odd_and_an_even_number_of_rows(rows, columns, monkeypatch):
    plain, got = run(monkeypatch, "gs-sgd", k=5, rows=rows, size=0.4)
    follows(got, loop(plain, k=5, rows=rows, columns=columns))


@pytest.mark.parametrize("kind", ["gs-sgd", "sketched-sgd"])
def test_the_rate_multiplies_what_is_applied(kind, monkeypatch):
    """Not what is accumulated: after a change of the rate old gradients count with the new one."""
    rule = {"momentum": 0.5, "schedule": {"kind": "step", "every": 5, "gamma": 0.2}}
    plain, got = run(monkeypatch, kind, rule=rule, k=4)
    follows(got, loop(plain, rates=[RATE * 0.2 ** (t // 5) for t in range(STEPS)], k=4, mu=0.5))


def test_t42_without_a_server_the_same_is_learned(monkeypatch):
    """gs-SGD has the worker of Sketched-SGD: the same sketch, the same selection."""
    settings = {"rule": MOMENTUM, "density": 0.03, "steps": 40}
    _, one = run(monkeypatch, "sketched-sgd", **settings)
    for exchange in ("tree", "recursive-doubling"):
        _, other = run(monkeypatch, "gs-sgd", exchange=exchange, **settings)
        np.testing.assert_allclose(one, other, **TIGHT)
        np.testing.assert_array_equal(other, other[:1].repeat(4, 0))


@pytest.mark.parametrize("mode", MODES)
def test_t42_both_exchanges_of_gs_sgd_learn_the_same(mode, monkeypatch):
    found = [
        run(monkeypatch, "gs-sgd", 4, k=3, second_round=mode, exchange=exchange)[1]
        for exchange in ("tree", "recursive-doubling")
    ]
    np.testing.assert_array_equal(*found)


def mass(monkeypatch, kind, mode, steps=40, **settings):
    """w0 - w + eta * mean v - eta * sum of mean g after every step, relative to the last sum."""
    if kind == "gs-sgd":
        settings["second_round"] = mode
    plain, got = run(monkeypatch, kind, 4, steps=steps, k=4, **settings)
    sketched, w, summed, defects = Sketched(plain, 4, mode=mode), plain.start, 0.0, []
    for t in range(steps):
        grads = plain.grads(w, t)
        summed = summed + grads.mean(0)
        sketched.step(grads, w)
        w = got[0, t]
        defects.append(plain.start - w + RATE * sketched.v.mean(0) - RATE * summed)
    assert np.linalg.norm(sketched.v.mean(0)) > 0.01 * np.linalg.norm(summed)  # some is waiting
    return np.array(defects), np.linalg.norm(RATE * summed)


@pytest.mark.parametrize(
    ("kind", "mode", "steps"),
    [("sketched-sgd", "exact", 40), ("gs-sgd", "exact", 40), ("gs-sgd", "subtract", 12)],
)
def test_t42_mass_is_kept(kind, mode, steps, monkeypatch):
    """mu = 0: w0 - w + eta * mean v = eta * sum of mean g.

    Subtracted estimates feed their errors back: with so small a sketch rounding errors grow.
    """
    defects, _ = mass(monkeypatch, kind, mode, steps)
    np.testing.assert_allclose(defects, 0, **TIGHT)


def test_t42_mass_is_lost_without_a_second_round(monkeypatch):
    defects, length = mass(monkeypatch, "gs-sgd", "reset")
    assert np.linalg.norm(defects[-1]) > 0.3 * length
    np.testing.assert_allclose(defects[:, VECTORS], 0, **TIGHT)  # but not that of biases


@pytest.mark.parametrize("kind", ["gs-sgd", "sketched-sgd"])
def test_t42_true_top_k_if_all_are_asked_for(kind, monkeypatch):
    """p2 k >= d: whatever the sketch says, the k largest of the sum are used."""
    plain, got = run(monkeypatch, kind, rule={"momentum": 0.9}, k=8, candidates=20, size=0.05)

    def true_top_k():
        w, u, v = plain.start, plain.zeros(), plain.zeros()
        for t in range(STEPS):
            u = 0.9 * u + plain.grads(w, t)
            v = v + u
            summed = v.sum(0)
            at = MATRICES[largest(summed[MATRICES], 8)]
            both = np.concatenate([at, VECTORS])
            g = np.zeros(plain.d)
            g[both] = summed[both] / plain.n
            w = w - RATE * g
            u[:, at] = 0.0
            v[:, both] = 0.0
            yield w

    follows(got, true_top_k())


@pytest.mark.parametrize("mode", MODES)
def test_t42_biases_are_always_sent_exactly(mode, monkeypatch):
    """They keep their momentum, as if nothing were compressed; all else is k-sparse."""
    plain, got = run(
        monkeypatch, "gs-sgd", rule={"momentum": 0.9}, k=3, candidates=2, second_round=mode
    )
    w, u = plain.start, np.zeros(plain.d)
    for t in range(STEPS):
        u = 0.9 * u + plain.grads(w, t).mean(0)
        moved, w = w - got[0, t], got[0, t]
        np.testing.assert_allclose(moved[VECTORS], RATE * u[VECTORS], **TIGHT)
        assert np.count_nonzero(moved[MATRICES]) <= (3 if mode == "exact" else 6)


def test_t41_the_sketch_does_not_depend_on_the_number_of_workers(monkeypatch):
    """The same hash functions for the same seed, others for another one."""
    tables = [Hashes(5, 11, 128, seed).places for seed in (0, 0, 1)]
    assert tables[0] == tables[1] != tables[2]
    plain, got = run(monkeypatch, "gs-sgd", 8, k=5)
    follows(got, loop(plain, k=5))


@pytest.mark.parametrize("kind", ["gs-sgd", "sketched-sgd"])
def test_a_model_of_one_vector_is_sketched_whole(kind, monkeypatch):
    """A model without matrices has nothing but its vector to compress."""
    learning = {
        "model": {"kind": "least-squares"},
        "dataset": {"kind": "regression", "features": 32, "samples": 256},
    }
    plain, got = run(monkeypatch, kind, k=4, candidates=8, learning=learning)
    w, v = plain.start, plain.zeros()
    for t in range(STEPS):
        v = v + plain.grads(w, t)
        at = largest(v.sum(0), 4)
        g = np.zeros(32)
        g[at] = v[:, at].mean(0)
        v[:, at] = 0.0
        w = w - RATE * g
        np.testing.assert_allclose(got[:, t], w[None].repeat(4, 0), **TIGHT)
