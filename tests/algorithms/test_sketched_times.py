"""Bytes and times of sketched methods: T2, T43, and the closed forms of their collectives."""

import numpy as np
import pytest

from tests.algorithms.compressed import (
    GRADIENT,
    LATENCY,
    NIC,
    SELECT,
    SKETCH,
    STEPS,
    blocking,
    bytes_of,
    compute_times,
    ends,
    resnet18,
    slowness,
)
from tests.make import simulate

D = 139
KNOWN = {"preset": "resnet18", "gradient": None}
SMALL = {"rows": 4, "size": 0.25, "k": 6, "candidates": 3}
TABLE, ASKED, KEPT = (share * GRADIENT for share in (0.25, 18 / D, 6 / D))


def test_t43_t2_bytes_of_gs_sgd_by_a_tree():
    """2 (N - 1) messages a round; what a leaf sends does not depend on the workers."""
    for n, rounds in ((2, 1), (4, 2), (8, 3)):
        sent, links = bytes_of("gs-sgd", n, **SMALL)
        assert sent == pytest.approx(STEPS * 2 * (n - 1) * (TABLE + ASKED), rel=1e-12)
        for a, b in ((f"host{n - 1}", "switch0"), ("switch0", f"host{n - 1}")):
            assert links[a, b] == pytest.approx(STEPS * (TABLE + ASKED))
        for a, b in (("host0", "switch0"), ("switch0", "host0")):
            assert links[a, b] == pytest.approx(STEPS * rounds * (TABLE + ASKED))


def test_t43_t2_bytes_of_gs_sgd_by_recursive_doubling():
    for n, rounds in ((2, 1), (4, 2), (8, 3)):
        sent, links = bytes_of("gs-sgd", n, exchange="recursive-doubling", **SMALL)
        assert sent == pytest.approx(STEPS * n * rounds * (TABLE + ASKED), rel=1e-12)
        for nbytes in links.values():
            assert nbytes == pytest.approx(STEPS * rounds * (TABLE + ASKED))


@pytest.mark.parametrize("mode", ["reset", "subtract"])
def test_t2_one_round_sends_sketches_only(mode):
    sent, _ = bytes_of("gs-sgd", 4, second_round=mode, **SMALL)
    assert sent == pytest.approx(STEPS * 6 * TABLE, rel=1e-12)


@pytest.mark.parametrize("fidelity", ["flow", "message", "alpha-beta"])
def test_t43_t2_bytes_of_sketched_sgd(fidelity):
    """4 (|S| + p2 k) up and 4k down for every worker; the server has N times that."""
    for n in (1, 3, 8):
        sent, links = bytes_of("sketched-sgd", n, network={"fidelity": fidelity}, **SMALL)
        assert sent == pytest.approx(STEPS * n * (TABLE + ASKED + KEPT), rel=1e-12)
        for i in range(n):
            assert links[f"host{i}", "switch0"] == pytest.approx(STEPS * (TABLE + ASKED))
            assert links["switch0", f"host{i}"] == pytest.approx(STEPS * KEPT)
        assert links["switch0", "server0"] == pytest.approx(STEPS * n * (TABLE + ASKED))
        assert links["server0", "switch0"] == pytest.approx(STEPS * n * KEPT)


def test_t43_a_sketch_is_constant_in_the_workers_and_top_k_is_not():
    """Download of one worker, for all kinds of overlap: seeds and partitions do not matter."""
    for partition in ("iid", {"kind": "label-shards"}):
        down = {}
        for kind in ("sketched-sgd", "topk-sgd"):
            down[kind] = [
                bytes_of(kind, n, k=6, learning={"partition": partition})[1]["switch0", "host0"]
                for n in (2, 4, 8)
            ]
        assert down["sketched-sgd"] == pytest.approx([STEPS * KEPT] * 3)
        assert down["topk-sgd"] == pytest.approx([STEPS * (n - 1) * 2 * KEPT for n in (2, 4, 8)])


def dense_numbers():
    """Numbers in vectors of the known network, and in all of it."""
    sizes = [(int(np.prod(shape)), len(shape)) for shape in resnet18()]
    return sum(n for n, order in sizes if order == 1), sum(n for n, _ in sizes)


def test_t2_vectors_of_a_known_network_are_sent_as_they_are():
    """Biases and normalisation parameters go with the exact values, both ways."""
    vectors, everything = dense_numbers()
    table, asked, kept = (4 * everything * share for share in (0.25, 18 / D, 6 / D))
    sent, _ = bytes_of("gs-sgd", 4, steps=2, workload=KNOWN, **SMALL)
    assert sent == pytest.approx(2 * 6 * (table + asked + 4 * vectors), rel=1e-12)
    sent, links = bytes_of("sketched-sgd", 4, steps=2, workload=KNOWN, **SMALL)
    assert links["switch0", "host1"] == pytest.approx(2 * (kept + 4 * vectors), rel=1e-9)
    assert sent == pytest.approx(2 * 4 * (table + asked + kept + 8 * vectors), rel=1e-12)


@pytest.mark.parametrize("mode", ["reset", "subtract"])
def test_t2_vectors_are_sent_without_a_second_round_too(mode):
    """They are used exactly in every mode, so they have to travel in every mode."""
    vectors, everything = dense_numbers()
    sent, _ = bytes_of("gs-sgd", 4, steps=2, workload=KNOWN, second_round=mode, **SMALL)
    assert sent == pytest.approx(2 * 6 * 4 * (0.25 * everything + vectors), rel=1e-12)


@pytest.mark.parametrize(("hosts", "rounds"), [(2, 1), (4, 2), (8, 3)])
@pytest.mark.parametrize("exchange", ["tree", "recursive-doubling"])
@pytest.mark.parametrize("mode", ["exact", "reset", "subtract"])
def test_r1_time_of_gs_sgd(hosts, rounds, exchange, mode):
    """r d additions, round 1, r d look-ups and the selection, round 2; all wait for all."""
    hops = rounds * (2 if exchange == "tree" else 1)
    d = GRADIENT / 4

    def exchanged(nbytes):
        return hops * (2 * LATENCY + nbytes * 8 / NIC)

    got = ends(
        "gs-sgd",
        hosts,
        exchange=exchange,
        second_round=mode,
        sketch_cost=SKETCH,
        select_cost=SELECT,
        **SMALL,
    )
    last = exchanged(ASKED) if mode == "exact" else 0.0
    stages = [(4 * d * SKETCH, exchanged(TABLE)), (4 * d * SKETCH + d * SELECT, last)]
    np.testing.assert_allclose(got, blocking(hosts, stages), rtol=1e-12)


def queued(ready, nbytes):
    """When messages that are *ready* at these times have entered a NIC, first come first served."""
    free, done = 0.0, np.empty(len(ready))
    for i in sorted(range(len(ready)), key=lambda i: ready[i]):
        free = done[i] = max(free, ready[i] + 2 * LATENCY) + nbytes * 8 / NIC
    return done


def served(hosts, at_worker, at_server):
    """L[i, t] of a server that waits for all in two rounds and answers in the order of ranks."""
    c, now = compute_times(hosts, STEPS), np.zeros(hosts)
    found = np.empty((hosts, STEPS))
    for t in range(STEPS):
        asked = queued(now + c[:, t] + at_worker * slowness(hosts), TABLE).max() + at_server
        given = queued(np.full(hosts, asked + 2 * LATENCY), ASKED).max()
        now = given + 2 * LATENCY + np.arange(1, hosts + 1) * KEPT * 8 / NIC
        found[:, t] = now
    return found


@pytest.mark.parametrize("hosts", [1, 3, 8])
def test_r12_time_of_sketched_sgd_but_for_what_the_server_computes(hosts):
    """Two synchronous rounds through the server's NIC."""
    got = ends("sketched-sgd", hosts, sketch_cost=0.0, select_cost=0.0, **SMALL)
    np.testing.assert_allclose(got, served(hosts, 0.0, 0.0), rtol=1e-12)


@pytest.mark.parametrize("hosts", [1, 3])
def test_r12_time_of_sketched_sgd(hosts):
    """Unsketching and selection, r d look-ups and a selection from d, are charged as well."""
    d = GRADIENT / 4
    got = ends("sketched-sgd", hosts, sketch_cost=SKETCH, select_cost=SELECT, **SMALL)
    wanted = served(hosts, 4 * d * SKETCH, 4 * d * SKETCH + d * SELECT)
    np.testing.assert_allclose(got, wanted, rtol=1e-12)


@pytest.mark.parametrize(("kind", "looks_up"), [("sketched-sgd", 0), ("gs-sgd", 1)])
def test_workers_compute_their_sketches(kind, looks_up):
    """Beside the gradient: r d additions, without a server r d look-ups and a selection too."""
    result = simulate(
        topology={"hosts": 3, "gpus_per_host": 0},
        workload={"gradient": GRADIENT, "compute": 0.05, "noise": "none"},
        algorithm={"kind": kind, "rows": 4, "sketch_cost": SKETCH, "select_cost": SELECT},
    )
    sketch, d = 4 * SKETCH, GRADIENT / 4
    once = 0.05 + d * (sketch + looks_up * (sketch + SELECT))
    assert result.summary["breakdown"]["compute_s"] == pytest.approx(STEPS * once)


def test_a_decentralised_sketch_gains_more_the_more_workers_there_are():
    """Throughput of gs-SGD over that of Sketched-SGD: at least one, growing with N."""

    def period(kind, n):
        return np.diff(ends(kind, n, 6, 1e8, select_cost=0, sketch_cost=0, **SMALL)).mean()

    gains = [period("sketched-sgd", n) / period("gs-sgd", n) for n in (4, 8, 16, 32)]
    assert gains[0] >= 0.8
    assert gains == sorted(gains)
    assert gains[-1] > 1.2
