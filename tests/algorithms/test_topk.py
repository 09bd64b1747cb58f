"""Top-k SGD with error feedback, DGC and gTop-k against plain loops: T2, T39, T40, T43."""

import numpy as np
import pytest

from simulator.errors import ScenarioError
from tests.algorithms.compressed import (
    GRADIENT,
    LATENCY,
    NIC,
    RATE,
    SELECT,
    STEPS,
    TIGHT,
    blocking,
    bytes_of,
    ends,
    follows,
    largest,
    run,
)
from tests.make import scenario, simulate

D = 139  # parameters of the small model: 13 x 8 + 8, 8 x 3 + 3


def dgc(plain, kept, mu=0.0, wd=0.0, masks=True, corrects=True, feeds=True, clip=None, rates=None):
    """Parameters after every step of the specification's loop.

    q = eta g + e; send the k largest; e = q without them; w -= mean of all that was sent.
    """
    w, e, u, v = plain.start.copy(), plain.zeros(), plain.zeros(), np.zeros(plain.d)
    for t in range(plain.steps):
        rate = RATE if rates is None else rates[t]
        grads, moved = plain.grads(w, t), np.zeros(plain.d)
        for i in range(plain.n):
            g = grads[i] + wd * w
            if clip is not None:
                length = np.sqrt((g * g).sum())
                g = g * min(1.0, clip * plain.n**-0.5 / length)
            if corrects:
                u[i] = mu * u[i] + g
                g = u[i].copy()
            q = e[i] + rate * g
            at = largest(q, kept[t])
            moved[at] += q[at]
            q[at] = 0.0
            if feeds:
                e[i] = q
            if corrects and masks:
                u[i, at] = 0.0
        moved /= plain.n
        if not corrects:
            v = mu * v + moved
            moved = v
        w = w - moved
        yield w


MOMENTUM = {"momentum": 0.9, "weight_decay": 0.01}
BOTH = {"mu": 0.9, "wd": 0.01}
CASES = {
    "plain": ({}, {}, {}),
    "momentum": (MOMENTUM, {}, BOTH),
    "no masking": (MOMENTUM, {"factor_masking": False}, BOTH | {"masks": False}),
    "no correction": (MOMENTUM, {"momentum_correction": False}, BOTH | {"corrects": False}),
    "no feedback": (MOMENTUM, {"error_feedback": False}, BOTH | {"feeds": False}),
    "no feedback, no correction": (
        MOMENTUM,
        {"error_feedback": False, "momentum_correction": False},
        BOTH | {"feeds": False, "corrects": False},
    ),
    "clipping": (MOMENTUM, {"clip": 1.0}, BOTH | {"clip": 1.0}),
    "clipping seldom": ({"weight_decay": 0.5}, {"clip": 2.5}, {"wd": 0.5, "clip": 2.5}),
}


@pytest.mark.parametrize("hosts", [3, 4])
@pytest.mark.parametrize("case", CASES)
def test_t39_topk_sgd_against_a_plain_loop(case, hosts, monkeypatch):
    rule, settings, options = CASES[case]
    plain, got = run(monkeypatch, "topk-sgd", hosts, rule=rule, density=0.1, **settings)
    assert plain.d == D
    follows(got, dgc(plain, [14] * STEPS, **options))


def test_t39_no_clipping_of_short_gradients(monkeypatch):
    """The threshold is for the length of all workers' gradients: each may have 1 / sqrt(N)."""
    plain, free = run(monkeypatch, "topk-sgd", k=10)
    longest = max(np.linalg.norm(plain.grads(plain.start, 0), axis=1))
    for factor, same in ((1.001, True), (0.999, False)):
        _, got = run(monkeypatch, "topk-sgd", k=10, clip=float(longest * 2 * factor))
        assert (got[:, 0] == free[:, 0]).all() == same


def test_t39_warm_up_densities(monkeypatch):
    """Stretches of `warmup_steps` steps at their densities, then k."""
    plain, got = run(
        monkeypatch, "topk-sgd", warmup=[0.25, 0.0625], warmup_steps=3, k=3, rule=MOMENTUM
    )
    follows(got, dgc(plain, [35] * 3 + [9] * 3 + [3] * 6, **BOTH))


def test_t39_a_residual_keeps_the_rate_of_its_step(monkeypatch):
    """The rate multiplies a gradient when it is computed, not when it is sent."""
    rule = {"momentum": 0.9, "schedule": {"kind": "step", "every": 4, "gamma": 0.3}}
    plain, got = run(monkeypatch, "topk-sgd", rule=rule, k=8)
    rates = [RATE * 0.3 ** (t // 4) for t in range(STEPS)]
    follows(got, dgc(plain, [8] * STEPS, mu=0.9, rates=rates))


def test_t39_mass_is_what_was_applied_and_what_is_remembered(monkeypatch):
    """w0 - w + mean e = sum of eta times the mean gradient, e from a loop over the gradients."""
    plain, got = run(monkeypatch, "topk-sgd", k=4, steps=40)
    e, summed, w = plain.zeros(), np.zeros(plain.d), plain.start
    for t in range(40):
        grads = plain.grads(w, t)
        summed += RATE * grads.mean(0)
        for i in range(plain.n):
            e[i] += RATE * grads[i]
            e[i, largest(e[i], 4)] = 0.0
        w = got[0, t]
        np.testing.assert_allclose(plain.start - w + e.mean(0), summed, **TIGHT)
    assert np.linalg.norm(e.mean(0)) > 0.1 * np.linalg.norm(summed)  # much is still to be sent


def test_t39_nothing_is_left_out_if_everything_is_sent(monkeypatch):
    """k = d: SGD with the mean gradient; heavy-ball if nothing forgets its momentum."""
    for settings, mu in (({"factor_masking": False}, 0.9), ({}, 0.0)):
        plain, got = run(
            monkeypatch, "topk-sgd", rule={"momentum": 0.9}, density=1.0, select_cost=0, **settings
        )
        w, v, wanted = plain.start, np.zeros(plain.d), []
        for t in range(STEPS):
            v = mu * v + plain.grads(w, t).mean(0)
            w = w - RATE * v
            wanted.append(w)
        follows(got, wanted)


@pytest.mark.parametrize("k", [1, 14, 139])
def test_t43_t2_bytes_of_topk_sgd(k):
    """8k bytes per rank all-gathered: the download of a worker grows with the workers."""
    part = 8 * k / (4 * D) * GRADIENT
    for n in (2, 4, 6):
        sent, links = bytes_of("topk-sgd", n, k=k)
        assert sent == pytest.approx(STEPS * n * (n - 1) * part, rel=1e-12)
        for i in range(n):
            assert links[f"host{i}", "switch0"] == pytest.approx(STEPS * (n - 1) * part)
            assert links["switch0", f"host{i}"] == pytest.approx(STEPS * (n - 1) * part)


def test_t2_bytes_of_a_given_ratio_and_of_a_warm_up():
    """`wire_ratio` says what a message has of a dense one, whatever k is."""
    for kind, messages in (("topk-sgd", 4 * 3), ("gtopk-sgd", 2 * 3)):
        sent, _ = bytes_of(kind, wire_ratio=0.03, density=0.2)
        assert sent == pytest.approx(STEPS * messages * 0.03 * GRADIENT, rel=1e-12)
    sent, _ = bytes_of("topk-sgd", warmup=[0.25], warmup_steps=5, k=2)
    assert sent == pytest.approx((5 * 35 + 7 * 2) * 4 * 3 * 8 / (4 * D) * GRADIENT, rel=1e-12)


@pytest.mark.parametrize("hosts", [2, 5, 8])
def test_r1_time_of_topk_sgd(hosts):
    """Selection is computed; then a ring all-gather of (N - 1)(2a + 8k/B)."""
    nbytes, d = 2 * 0.1 * GRADIENT, GRADIENT / 4
    got = ends("topk-sgd", hosts, k=1, wire_ratio=0.2, select_cost=SELECT)
    stages = [(SELECT * d, (hosts - 1) * (2 * LATENCY + nbytes * 8 / NIC))]
    np.testing.assert_allclose(got, blocking(hosts, stages), rtol=1e-12)


# gTop-k


def add(one, other, k):
    """The k largest of the sum of two {index: value}."""
    summed = {i: one.get(i, 0.0) + other.get(i, 0.0) for i in one.keys() | other.keys()}
    kept = sorted(summed, key=lambda i: (-abs(summed[i]), i))[:k]
    return {i: summed[i] for i in kept}


def tree(parts, k):
    """What position 0 has: on every level odd positions send to even ones and stop."""
    while len(parts) > 1:
        parts = [add(parts[i], parts[i + 1], k) for i in range(0, len(parts), 2)]
    return parts[0]


class GTopK:
    """One step of gTop-k: the merged numbers, and what stays behind."""

    def __init__(self, plain, k):
        self.n, self.k, self.e = plain.n, k, plain.zeros()

    def step(self, grads):
        parts = []
        for i in range(self.n):
            self.e[i] += grads[i]
            at = largest(self.e[i], self.k)
            parts.append(dict(zip(at.tolist(), self.e[i, at].tolist(), strict=True)))
        final = tree(parts, self.k)
        for i, part in enumerate(parts):
            for index in part:
                if index in final:
                    self.e[i, index] = 0.0  # else it has got its value back
        return final, parts


@pytest.mark.parametrize("hosts", [1, 2, 4, 8])
@pytest.mark.parametrize("nesterov", [False, True])
def test_t40_gtopk_sgd_against_a_plain_loop(hosts, nesterov, monkeypatch):
    """Local momentum and weight decay after the merge."""
    rule = MOMENTUM | {"nesterov": nesterov}
    plain, got = run(monkeypatch, "gtopk-sgd", hosts, rule=rule, density=0.05)

    def loop():
        merge, w, v = GTopK(plain, 7), plain.start, np.zeros(plain.d)
        for t in range(STEPS):
            g = np.zeros(plain.d)
            for index, value in merge.step(plain.grads(w, t))[0].items():
                g[index] = value / plain.n
            q = g + 0.01 * w
            v = 0.9 * v + q
            w = w - RATE * (q + 0.9 * v if nesterov else v)
            yield w

    follows(got, loop())


@pytest.mark.parametrize("hosts", [2, 4, 8])
def test_t40_no_more_than_k_change_and_mass_leaks_from_four_on(hosts, monkeypatch):
    """N = 2: the top k of the sum of two k-sparse vectors, of which nothing is lost."""
    plain, got = run(monkeypatch, "gtopk-sgd", hosts, k=10, steps=40)
    merge, w, summed = GTopK(plain, 10), plain.start, np.zeros(plain.d)
    for t in range(40):
        grads = plain.grads(w, t)
        summed += RATE * grads.mean(0)
        final, parts = merge.step(grads)
        moved = w - got[0, t]
        assert set(np.flatnonzero(moved)) == set(final)
        assert len(final) == 10
        np.testing.assert_array_equal(got[:, t], got[:1, t].repeat(hosts, 0))
        if hosts == 2:
            both = np.zeros(plain.d)
            for part in parts:
                for index, value in part.items():
                    both[index] += value
            at = largest(both, 10)
            np.testing.assert_allclose(moved[at], RATE * both[at] / 2, **TIGHT)
        w = got[0, t]
    defect = plain.start - w + RATE * merge.e.mean(0) - summed
    if hosts == 2:
        np.testing.assert_allclose(defect, 0, **TIGHT)
    else:
        assert np.linalg.norm(defect) > 1e-3 * np.linalg.norm(summed)


@pytest.mark.parametrize(("hosts", "rounds"), [(3, 2), (6, 3)])
def test_t40_other_numbers_of_workers(hosts, rounds, monkeypatch):
    """Beyond the specification's 2^j: k coordinates, equal replicas, 2 (N - 1) messages."""
    plain, got = run(monkeypatch, "gtopk-sgd", hosts, k=10)
    np.testing.assert_array_equal(got, got[:1].repeat(hosts, 0))
    moved = np.diff(np.concatenate([plain.start[None], got[0]]), axis=0)
    assert (np.count_nonzero(moved, axis=1) == 10).all()
    part = 8 * 10 / (4 * D) * GRADIENT
    sent, _ = bytes_of("gtopk-sgd", hosts, k=10)
    assert sent == pytest.approx(STEPS * 2 * (hosts - 1) * part, rel=1e-12)
    got = ends("gtopk-sgd", hosts, k=10, select_cost=0)
    stages = [(0, 2 * rounds * (2 * LATENCY + part * 8 / NIC))]
    np.testing.assert_allclose(got, blocking(hosts, stages), rtol=1e-12)


def test_t40_t2_messages_of_gtopk_sgd():
    """2k numbers per message, 2 (N - 1) messages a step; rank 0's NIC carries log2 N of them."""
    for n, rounds in ((2, 1), (4, 2), (8, 3)):
        part = 8 * 14 / (4 * D) * GRADIENT
        sent, links = bytes_of("gtopk-sgd", n, density=0.1)
        assert sent == pytest.approx(STEPS * 2 * (n - 1) * part, rel=1e-12)
        for way in (("host0", "switch0"), ("switch0", "host0")):
            assert links[way] == pytest.approx(STEPS * rounds * part)
        for way in ((f"host{n - 1}", "switch0"), ("switch0", f"host{n - 1}")):
            assert links[way] == pytest.approx(STEPS * part)  # a leaf: one up and one down


@pytest.mark.parametrize(("hosts", "rounds"), [(2, 1), (4, 2), (8, 3), (16, 4)])
def test_r1_time_of_gtopk_sgd(hosts, rounds):
    """2 log2 N (2a + 8k/B), after the selection from a dense vector and from 2k a level."""
    k = 21
    nbytes, d = 8 * k / (4 * D) * GRADIENT, GRADIENT / 4
    got = ends("gtopk-sgd", hosts, k=k, select_cost=SELECT)
    selecting = SELECT * (d + rounds * 2 * k / D * d)
    stages = [(selecting, 2 * rounds * (2 * LATENCY + nbytes * 8 / NIC))]
    np.testing.assert_allclose(got, blocking(hosts, stages), rtol=1e-12)


def test_r1_gtopk_grows_with_the_logarithm_and_topk_with_the_workers():
    """Selection aside.  Cost table: at N = 4 the all-gather is cheaper, from 8 on the tree."""

    def communication(kind, n):
        spent = ends(kind, n, 2, k=1, wire_ratio=0.5, select_cost=0)
        return spent[0, 0] - blocking(n, [(0, 0.0)], 2)[0, 0]

    topk, gtopk = (
        [communication(kind, n) for n in (4, 8, 16, 32)] for kind in ("topk-sgd", "gtopk-sgd")
    )
    hop = 2 * LATENCY + 0.5 * GRADIENT * 8 / NIC
    assert topk == pytest.approx([3 * hop, 7 * hop, 15 * hop, 31 * hop])
    assert gtopk == pytest.approx([4 * hop, 6 * hop, 8 * hop, 10 * hop])


def test_without_error_feedback_it_stalls():
    """Where gradients of workers point elsewhere, what is never the largest is never learned."""
    losses = {}
    for feedback in (True, False):
        result = simulate(
            learning={
                "model": {"kind": "mlp", "hidden": []},
                "dataset": "digits",
                "partition": {"kind": "label-shards"},
            },
            algorithm={"kind": "topk-sgd", "k": 2, "error_feedback": feedback},
            stop={"steps": 300},
        )
        losses[feedback] = result.tables["evaluations"]["train_loss"][-1]
    assert losses[True] < 0.5 * losses[False]


@pytest.mark.parametrize("kind", ["topk-sgd", "gtopk-sgd", "sketched-sgd", "gs-sgd"])
def test_no_more_can_be_sent_than_there_is(kind):
    assert scenario(algorithm={"kind": kind, "k": D})
    with pytest.raises(ScenarioError, match="139 parameters"):
        scenario(algorithm={"kind": kind, "k": D + 1})
