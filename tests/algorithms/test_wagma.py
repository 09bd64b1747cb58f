"""WAGMA: T2, T5, T37, and its times and models as loops written here."""

import heapq

import numpy as np
import pytest

from simulator.algorithms.pieces.butterfly import butterfly
from tests.algorithms.gossip import (
    NO_LEARNING,
    Learner,
    apart,
    compute_times,
    end_times,
    recorded,
    ring,
    run,
    spread,
    tables,
)
from tests.make import refusal, simulate

STEPS = 30
QUIET = {"workload": {"noise": "none"}, "stragglers": []}
SIZES = [(2, 2), (4, 2), (8, 2), (8, 4), (16, 2), (16, 4), (16, 8), (8, 8), (64, 8)]


def phases(n, size, step):
    """Bits that partners differ in: phi_r = (t log2 S + r) mod log2 N."""
    depth, width = n.bit_length() - 1, size.bit_length() - 1
    return [(step * width + r) % depth for r in range(width)]


def partners(n, size, step, rank):
    """The group of a rank, by walking from partner to partner."""
    group = {rank}
    for phase in phases(n, size, step):
        group |= {one ^ (1 << phase) for one in group}
    return frozenset(group)


@pytest.mark.parametrize(("n", "size"), SIZES)
def test_t37_groups_partition_the_ranks(n, size):
    made = butterfly(n, size)
    for step in range(12):
        groups = made[step % len(made)]
        assert sorted(rank for group in groups for rank in group) == list(range(n))
        assert {len(group) for group in groups} == {size}
        assert set(map(frozenset, groups)) == {partners(n, size, step, r) for r in range(n)}


def test_t37_the_example_of_the_paper():
    assert butterfly(8, 4)[0] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert butterfly(8, 4)[1] == [[0, 1, 4, 5], [2, 3, 6, 7]]


@pytest.mark.parametrize(("n", "size"), SIZES)
@pytest.mark.parametrize("first", [0, 1, 2])
def test_t37_full_propagation_in_log_s_n_rounds(n, size, first):
    made = butterfly(n, size)
    rounds = -(-(n.bit_length() - 1) // (size.bit_length() - 1))
    heard = [{rank} for rank in range(n)]
    for step in range(first, first + rounds):
        assert any(len(one) < n for one in heard)
        union = {}
        for group in made[step % len(made)]:
            union |= dict.fromkeys(group, set().union(*(heard[rank] for rank in group)))
        heard = [union[rank] for rank in range(n)]
    assert all(len(one) == n for one in heard)


@pytest.mark.parametrize(("n", "size"), [(8, 2), (8, 4), (16, 4), (16, 16), (64, 8)])
def test_t37_the_exact_mean_after_log_s_n_rounds(n, size, monkeypatch):
    """If nobody is late, without gradients."""
    apart(monkeypatch, spread)
    history = recorded(monkeypatch)
    rounds = -(-(n.bit_length() - 1) // (size.bit_length() - 1))
    changes = QUIET | NO_LEARNING
    cluster = run(n, {"kind": "wagma", "group_size": size, "period": 1000}, rounds, **changes)
    mean = np.mean([spread(i, cluster.job.start) for i in range(n)], 0)
    for i in range(n):
        np.testing.assert_allclose(history[i, rounds - 1][0], mean, atol=1e-12)
        if rounds > 1:
            assert np.abs(history[i, rounds - 2][0] - mean).max() > 1e-2


def wait_avoiding(cluster, n, size, period, hop, steps=STEPS):
    """(time, rank, step, w) of every step as it would be; how often whose round was over."""
    learner, c = Learner(cluster, steps), compute_times(n)
    width = size.bit_length() - 1
    t_group = [width * 2 * hop, width * 2 * hop]  # activation; one exchange per phase
    w = [cluster.job.start.copy() for _ in range(n)]
    newest, step = [cluster.job.start] * n, [0] * n
    queue = [(c[i, 0], i, "computed", ()) for i in range(n)]
    heapq.heapify(queue)
    rounds, meeting, finished, late = {}, [], [], np.zeros(3, int)

    def go_on(i, now):
        finished.append((now, i, step[i], w[i].copy()))
        step[i] += 1
        if step[i] < steps:
            heapq.heappush(queue, (now + c[i, step[i]], i, "computed", ()))

    def enter(i, now):
        members = partners(n, size, step[i], i)
        # rounds of a group in the same phases follow each other
        key = tuple(sorted(phases(n, size, step[i]))), tuple(sorted(members))
        one = rounds.setdefault(
            key, {"over": 0, "begun": 0, "entered": {}, "fresh": {}, "waiting": [], "sum": None}
        )
        number = one["entered"][i] = one["entered"].get(i, -1) + 1
        if number < one["over"]:
            late[1 + (number + 1 < one["over"])] += 1
            w[i] = (one["sum"] + newest[i]) / (size + 1)
            go_on(i, now)
            return
        one["waiting"].append(i)
        if number == one["begun"]:
            one["begun"] += 1
            heapq.heappush(queue, (now + t_group[0], -1, "activated", key))

    while queue:
        now, i, what, key = heapq.heappop(queue)
        if what == "computed":
            newest[i] = w[i] = w[i] + learner.step(i, step[i], w[i])
            if (step[i] + 1) % period:
                enter(i, now)
                continue
            meeting.append(i)
            if len(meeting) == n:
                heapq.heappush(queue, (now + ring(n, hop), -1, "averaged", ()))
        elif what == "activated":
            one = rounds[key]
            one["given"] = sum(newest[member] for member in key[1])
            for member in key[1]:
                one["fresh"][member] = one["entered"].get(member, -1) == one["over"]
            heapq.heappush(queue, (now + t_group[1], -1, "over", key))
        elif what == "over":
            one = rounds[key]
            one["over"], one["sum"] = one["over"] + 1, one["given"]
            ready, one["waiting"] = one["waiting"], []
            for member in ready:
                if one["fresh"][member]:
                    w[member] = one["sum"] / size
                else:
                    late[0] += 1
                    w[member] = (one["sum"] + newest[member]) / (size + 1)
                go_on(member, now)
        else:
            mean, meeting = np.mean(w, 0), []
            for member in range(n):
                w[member] = mean
                go_on(member, now)
    return finished, late


@pytest.mark.parametrize(
    ("n", "size", "period"), [(8, 4, 10), (8, 2, 1000), (16, 4, 7), (4, 4, 1000), (8, 2, 3)]
)
@pytest.mark.parametrize(("hop", "fidelity"), [(1e-2, "alpha-beta"), (1e-3, "flow")])
def test_wagma_against_a_loop_over_events(n, size, period, hop, fidelity, monkeypatch):
    """Times too: L_i = max(f_i, first of the group + T_act + T_group), all at a period's end."""
    history = recorded(monkeypatch)
    cluster = run(
        n,
        {"kind": "wagma", "group_size": size, "period": period},
        STEPS,
        hop=hop,
        fidelity=fidelity,
    )
    finished, late = wait_avoiding(cluster, n, size, period, hop)
    got = end_times(cluster, n, STEPS)
    assert len(finished) == n * STEPS
    assert late.sum() > 2 * n  # else this would show nothing
    for now, i, t, w in finished:
        assert got[i, t] == pytest.approx(now, rel=1e-12)
        np.testing.assert_allclose(history[i, t][0], w, atol=1e-12)


@pytest.mark.parametrize(("n", "size"), [(4, 2), (8, 2), (16, 4), (64, 8), (32, 4), (1, 1)])
def test_by_default_groups_have_the_root_of_n(n, size, monkeypatch):
    history = recorded(monkeypatch)
    run(n, {"kind": "wagma"}, 12)
    chosen = dict(history)
    history.clear()
    run(n, {"kind": "wagma", "group_size": size, "period": 10}, 12)
    for key, (w, _) in chosen.items():
        np.testing.assert_array_equal(w, history[key][0])


def test_t37_one_group_of_all_is_an_all_reduce_of_models(monkeypatch):
    """If nobody is late: local SGD that averages after every step."""
    history = recorded(monkeypatch)
    run(8, {"kind": "local-sgd", "period": 1}, STEPS, **QUIET)
    flat = dict(history)
    history.clear()
    run(8, {"kind": "wagma", "group_size": 8}, STEPS, **QUIET)
    for key, (w, _) in flat.items():
        np.testing.assert_allclose(history[key][0], w, atol=1e-12)


@pytest.mark.parametrize("period", [1, 5])
def test_t37_without_the_group_phase_it_is_local_sgd(period, monkeypatch):
    """Groups of one; with a period of one nothing else is left either."""
    for size in (1, 4 if period == 1 else 1):
        history = recorded(monkeypatch)
        local = run(8, {"kind": "local-sgd", "period": period}, STEPS)
        flat = dict(history)
        history.clear()
        cluster = run(8, {"kind": "wagma", "group_size": size, "period": period}, STEPS)
        for key, (w, _) in flat.items():
            np.testing.assert_allclose(history[key][0], w, atol=1e-12)
        np.testing.assert_allclose(
            end_times(cluster, 8, STEPS), end_times(local, 8, STEPS), rtol=1e-12
        )


@pytest.mark.parametrize(("n", "size"), [(8, 4), (16, 4), (8, 2)])
def test_t2_log2_s_exchanges_a_step_and_an_all_reduce_every_period(n, size):
    algorithm = {"kind": "wagma", "group_size": size, "period": 5}
    result = tables(n, algorithm, 20, workload={"gradient": 1000})
    groups, width = n // size, size.bit_length() - 1
    kinds = result.tables["messages"]["kind"]
    assert kinds.count("activation") == 16 * groups
    assert kinds.count("all-reduce") == 16 * groups + 4
    assert len(kinds) == 32 * groups + 4
    expected = 16 * n * width * 1000 + 4 * 2 * (n - 1) * 1000
    assert result.summary["bytes_sent"] == pytest.approx(expected)


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])
def test_a_group_takes_an_exchange_of_the_model_per_phase(fidelity):
    """Homogeneous: c + T_act + log2 S (2a + m/B), the others' groups do not matter."""
    result = simulate(
        topology={"kind": "star", "hosts": 8, "gpus_per_host": 0},
        network={"fidelity": fidelity, "all_reduce": "ring"},
        workload={"noise": "none"},
        algorithm={"kind": "wagma", "group_size": 4, "period": 1000},
    )
    one = 0.05 + 2 * 20e-6 + 2 * (20e-6 + 10e6 * 8 / 10e9)
    assert result.summary["simulated_time_s"] == pytest.approx(12 * one, rel=1e-9)


def test_t4_nobody_waits_for_a_late_node_but_at_the_global_average():
    def ends(factor, period):
        cluster = run(
            8,
            {"kind": "wagma", "group_size": 4, "period": period},
            10,
            workload={"noise": "none"},
            stragglers=[{"kind": "slow-workers", "workers": [5], "factor": factor}],
        )
        return end_times(cluster, 8, 10)

    fair, slow = ends(1.0, 1000), ends(6.0, 1000)
    others = [0, 1, 2, 3, 4, 6, 7]
    np.testing.assert_allclose(slow[others], fair[others], rtol=1e-12)
    assert slow[5, -1] == pytest.approx(10 * 0.6)
    fair, slow = ends(1.0, 5), ends(6.0, 5)
    np.testing.assert_allclose(slow[others, :4], fair[others, :4], rtol=1e-12)
    np.testing.assert_allclose(slow[:, 4], 5 * 0.6 + ring(8), rtol=1e-12)


def test_t5_alone_it_is_sgd(monkeypatch):
    history = recorded(monkeypatch)
    cluster = run(1, {"kind": "wagma"}, STEPS)
    learner, w = Learner(cluster, STEPS), cluster.job.start
    for t in range(STEPS):
        w = w + learner.step(0, t, w)
        np.testing.assert_allclose(history[0, t][0], w, atol=1e-12)


@pytest.mark.parametrize(("size", "hosts"), [(3, 8), (16, 8), (2, 6)])
def test_what_makes_no_butterfly_is_refused(size, hosts, tmp_path):
    text = f"""
topology: {{kind: star, hosts: {hosts}, gpus_per_host: 1}}
algorithm: {{kind: wagma, group_size: {size}}}
stop: {{steps: 2}}
"""
    assert f"groups of {size} make no butterfly" in refusal(text, tmp_path)
