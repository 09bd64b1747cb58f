"""PowerSGD against a plain loop: T2, T43, T44, and what its products and messages take."""

import numpy as np
import pytest

from simulator.engine import Streams
from tests.algorithms.compressed import (
    GRADIENT,
    LATENCY,
    MULTIPLY,
    NIC,
    RATE,
    STEPS,
    blocking,
    bytes_of,
    ends,
    follows,
    resnet18,
    run,
    star,
)
from tests.make import played

D = 139
MATRICES = ((0, 13, 8), (112, 8, 3))  # of the small model, between its biases
KNOWN = {"preset": "resnet18", "gradient": None}
MOMENTUM = {"momentum": 0.9, "weight_decay": 0.01}


def gram_schmidt(matrix):
    """Orthonormal columns, one after the other."""
    columns = []
    for column in matrix.T:
        left = column.copy()
        for earlier in columns * 2:  # the second time removes what rounding has left
            left -= (earlier @ left) * earlier
        columns.append(left / np.sqrt(left @ left))
    return np.array(columns).T


class PowerIteration:
    """One step of the specification's loop with errors and right factors that it remembers."""

    def __init__(self, plain, rank, seed=0):
        rng = Streams(seed).get("powersgd")
        self.n, self.e = plain.n, plain.zeros()
        self.shapes = [one for one in MATRICES if min(one[1:]) > rank]
        self.q = [rng.normal(size=(p, rank)) for _, _, p in self.shapes]

    def step(self, grads):
        """The approximated mean gradient, and its matrices."""
        mean, found = grads.mean(0), []
        for number, (start, n, p) in enumerate(self.shapes):
            place = slice(start, start + n * p)
            m = [(grads[i, place] + self.e[i, place]).reshape(n, p) for i in range(self.n)]
            a = gram_schmidt(sum(one @ self.q[number] for one in m))
            self.q[number] = sum(one.T @ a for one in m) / self.n
            approximate = a @ self.q[number].T
            for i in range(self.n):
                self.e[i, place] = (m[i] - approximate).reshape(-1)
            mean[place] = approximate.reshape(-1)
            found.append(approximate)
        return mean, found


@pytest.mark.parametrize(("hosts", "rank"), [(1, 1), (3, 1), (4, 2), (4, 3), (3, 7)])
@pytest.mark.parametrize("nesterov", [False, True])
def test_t44_powersgd_against_a_plain_loop(hosts, rank, nesterov, monkeypatch):
    """The optimiser takes the approximation for the mean gradient; rank 3 sends a matrix dense."""
    rule = MOMENTUM | {"nesterov": nesterov}
    plain, got = run(monkeypatch, "powersgd", hosts, rule=rule, rank=rank)

    def loop():
        power, w, v = PowerIteration(plain, rank), plain.start, np.zeros(plain.d)
        for t in range(STEPS):
            q = power.step(plain.grads(w, t))[0] + 0.01 * w
            v = 0.9 * v + q
            w = w - RATE * (q + 0.9 * v if nesterov else v)
            yield w

    follows(got, loop())


@pytest.mark.parametrize("rank", [1, 2])
def test_t44_mass_rank_and_agreement(rank, monkeypatch):
    """Sum of M + mean error = sum of the mean gradients; no step has more than *rank*."""
    plain, got = run(monkeypatch, "powersgd", 4, steps=40, rank=rank)
    power, summed, w = PowerIteration(plain, rank), np.zeros(plain.d), plain.start
    for t in range(40):
        grads = plain.grads(w, t)
        summed += grads.mean(0)
        power.step(grads)
        moved, w = (w - got[0, t]) / RATE, got[0, t]
        applied = (plain.start - w) / RATE
        np.testing.assert_allclose(applied + power.e.mean(0), summed, rtol=0, atol=1e-10)
        np.testing.assert_array_equal(got[:, t], got[:1, t].repeat(4, 0))
        for start, n, p in MATRICES:
            sizes = np.linalg.svd(moved[start : start + n * p].reshape(n, p), compute_uv=False)
            assert sizes[rank] < 1e-10 * sizes[0]
            assert sizes[rank - 1] > 1e-6 * sizes[0]  # it has all of it
    assert np.linalg.norm(power.e.mean(0)) > 1e-3 * np.linalg.norm(summed)


def test_t44_exact_where_the_mean_gradient_has_no_higher_rank(monkeypatch):
    """Softmax over three classes: rows of the 13 x 3 gradient add up to 0, so its rank is 2."""
    learning = {"model": {"kind": "mlp", "hidden": []}}
    plain, got = run(monkeypatch, "powersgd", 4, learning=learning, rule=MOMENTUM, rank=2)
    w, v = plain.start, np.zeros(plain.d)
    for t in range(STEPS):
        v = 0.9 * v + plain.grads(w, t).mean(0) + 0.01 * w
        w = w - RATE * v
        np.testing.assert_allclose(got[0, t], w, rtol=0, atol=1e-10)
    _, coarse = run(monkeypatch, "powersgd", 4, learning=learning, rule=MOMENTUM, rank=1)
    assert np.abs(coarse[0] - got[0]).max() > 1e-4  # rank 1 is not enough


def test_t44_higher_ranks_are_closer_to_the_mean_gradient(monkeypatch):
    """The second step starts from the first one's factor: closer than from a random one."""
    far = []
    for rank in (1, 2, 4, 7):
        plain, got = run(monkeypatch, "powersgd", rank=rank)
        mean = plain.grads(plain.start, 0).mean(0)
        moved = (plain.start - got[0, 0]) / RATE
        far.append(np.linalg.norm((moved - mean)[:104]) / np.linalg.norm(mean[:104]))
    assert far == sorted(far, reverse=True)
    assert far[0] < 1  # but better than nothing
    assert far[-1] < 0.3


def test_t2_bytes_of_a_gradient_given_by_hand():
    """The small vectors' share: r (n + p) numbers per matrix, and what is sent dense."""
    for rank, numbers in ((1, 32 + 11), (2, 64 + 11), (3, 63 + 24 + 11), (8, D)):
        share = numbers / D
        for n in (2, 4, 6):
            sent, links = bytes_of("powersgd", n, rank=rank)
            assert sent == pytest.approx(STEPS * 2 * (n - 1) * share * GRADIENT, rel=1e-12)
            per_worker = STEPS * 2 * (n - 1) / n * share * GRADIENT
            assert links["host1", "switch0"] == pytest.approx(per_worker)
            assert links["switch0", "host1"] == pytest.approx(per_worker)


def test_t2_both_factors_of_a_gradient_given_by_hand_are_half_of_it():
    cluster = played(
        topology=star(4), network={"all_reduce": "ring"}, algorithm={"kind": "powersgd", "rank": 2}
    )
    sizes = cluster.trace.messages.columns()["nbytes"]  # of all four workers together
    assert len(sizes) == 2 * STEPS
    np.testing.assert_allclose(sizes, 2 * 3 * 75 / D * GRADIENT / 2, rtol=1e-12)


@pytest.mark.parametrize("rank", [1, 2, 64])
def test_t43_t2_bytes_of_a_known_network(rank):
    """4r (n + p) bytes per matrix, 4 per number of a vector: constant in N but for the ring."""
    assert sum(int(np.prod(shape)) for shape in resnet18()) == 11_689_512
    numbers = 0
    for shape in resnet18():
        n, p = shape[0], int(np.prod(shape[1:]))
        numbers += rank * (n + p) if min(n, p) > rank else n * p
    for hosts in (2, 4):
        sent, _ = bytes_of("powersgd", hosts, steps=3, workload=KNOWN, rank=rank)
        assert sent == pytest.approx(3 * 2 * (hosts - 1) * 4 * numbers, rel=1e-12)


@pytest.mark.parametrize("hosts", [2, 5, 8])
@pytest.mark.parametrize("rank", [1, 2])
def test_r1_time_of_powersgd(hosts, rank):
    """M Q, an all-reduce, then M^T A and A Q^T, and the other all-reduce; all wait for all."""
    coordinates = GRADIENT / 4
    half = (rank * 32 + 11) / D * GRADIENT / 2
    ring = 2 * (hosts - 1) * (2 * LATENCY + half / hosts * 8 / NIC)
    got = ends("powersgd", hosts, rank=rank, multiply_cost=MULTIPLY)
    product = MULTIPLY * rank * coordinates
    to_orthonormalise = MULTIPLY * rank * half / 4
    stages = [(product, ring), (2 * product + to_orthonormalise, ring)]
    np.testing.assert_allclose(got, blocking(hosts, stages), rtol=1e-12)


def test_r1_time_of_powersgd_on_a_known_network():
    """Left factors and vectors travel first, right ones then; they are not of the same size."""
    left = right = dense = 0
    for shape in resnet18():
        n, p = shape[0], int(np.prod(shape[1:]))
        if min(n, p) > 2:
            left, right = left + 2 * n, right + 2 * p
        else:
            dense += n * p
    assert right > 2 * left  # a stage with the wrong factor would show
    cluster = played(
        topology=star(4),
        network={"fidelity": "alpha-beta", "all_reduce": "ring"},
        workload=KNOWN | {"noise": "none"},
        algorithm={"kind": "powersgd", "rank": 2},
        stop={"steps": 1},
    )
    table = cluster.trace.messages.columns()
    ring = [6 * (2 * LATENCY + 4 * size / 4 * 8 / NIC) for size in (left + dense, right)]
    np.testing.assert_allclose(table["end_s"] - table["start_s"], ring, rtol=1e-9)
