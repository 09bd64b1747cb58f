"""Synchronous servers and backup workers: T2, T4, T5, T9, T10, R3, R4."""

import numpy as np
import pytest

from simulator.cluster import Worker
from tests.algorithms.servers_by_hand import (
    COMPUTE,
    NIC,
    WAY,
    Learner,
    Nics,
    compute_times,
    ends,
    recorded,
    setting,
)
from tests.make import merged, played, scenario, simulate

N, STEPS = 6, 12
MOMENTUM = {"optimizer": {"momentum": 0.9, "weight_decay": 0.01}}
BOTH_LINK_MODES = pytest.mark.parametrize("fidelity", ["alpha-beta", "flow"])


def sync_ps(n=N, shards=1, **changes):
    return setting(n, algorithm={"kind": "sync-ps", "shards": shards}, **changes)


def on_links(result):
    links = result.tables["links"]
    ways = zip(links["source"], links["target"], strict=True)
    return dict(zip(ways, links["nbytes"].tolist(), strict=True))


# -- synchronous server ------------------------------------------------------------------


@BOTH_LINK_MODES
@pytest.mark.parametrize("shards", [1, 2, 3])
def test_t2_messages_of_the_synchronous_server(shards, fidelity):
    """N m in and N m out per step, over S links; S messages per worker, step and direction."""
    m = 3e6
    result = simulate(**sync_ps(shards=shards, gradient=m, fidelity=fidelity))
    kinds = result.tables["messages"]["kind"]
    assert [kinds.count(kind) for kind in ("push", "pull")] == [N * STEPS * shards] * 2
    np.testing.assert_allclose(result.tables["messages"]["nbytes"], m / shards, rtol=1e-12)
    loads = on_links(result)
    for host in range(N):
        for way in ((f"host{host}", "switch0"), ("switch0", f"host{host}")):
            assert loads[way] == pytest.approx(STEPS * m, rel=1e-12)
    for server in range(shards):
        for way in ((f"server{server}", "switch0"), ("switch0", f"server{server}")):
            assert loads[way] == pytest.approx(STEPS * N * m / shards, rel=1e-12)
    assert result.summary["extra_processes"] == shards


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("nesterov", [False, True])
def test_t9_parameters_are_those_of_sync_sgd(shards, nesterov, monkeypatch):
    learning = merged({"learning": MOMENTUM}, {"learning": {"optimizer": {"nesterov": nesterov}}})
    cluster, got = recorded(monkeypatch, **sync_ps(shards=shards, **learning))
    flat = played(**setting(N, algorithm={"kind": "sync-sgd"}, **learning))
    learner = Learner(cluster)
    w, v = learner.start, np.zeros_like(learner.start)
    for t in range(STEPS):
        q = learner.mean(N, w) + 0.01 * w
        v = 0.9 * v + q
        w = w - 0.05 * (q + 0.9 * v if nesterov else v)
        for rank in range(N):
            np.testing.assert_allclose(got[rank, t][1], w, atol=1e-12)
    np.testing.assert_allclose(cluster.workers[0].params, flat.workers[0].params, atol=1e-12)
    np.testing.assert_allclose(cluster.evaluated()[0][0], w, atol=1e-12)


@pytest.mark.parametrize("kind", ["sync-ps", "backup-workers"])
def test_t5_one_worker_is_sequential_sgd(kind, monkeypatch):
    cluster, got = recorded(monkeypatch, **setting(1, algorithm={"kind": kind}, learning=MOMENTUM))
    learner = Learner(cluster)
    w, v = learner.start, np.zeros_like(learner.start)
    for t in range(STEPS):
        v = 0.9 * v + learner.gradient(0, w) + 0.01 * w
        w = w - 0.05 * v
        np.testing.assert_allclose(got[0, t][1], w, atol=1e-12)


@pytest.mark.parametrize("shards", [1, 2, 3])
def test_r3_period_of_equal_workers(shards):
    """T9.  FIFO: c + 2a + (N+1)x, after the first step; fair shares: c + 2a + 2Nx."""
    m = 6e6
    x = m * 8 / (shards * NIC)
    for fidelity, transfers in (("alpha-beta", N + 1), ("flow", 2 * N)):
        got, _ = ends(**sync_ps(shards=shards, gradient=m, fidelity=fidelity, noise=0))
        if fidelity == "alpha-beta" and shards > 1:
            continue  # a worker's own NIC is a queue too: see the next test
        periods = np.diff(np.array(got), axis=1)[:, 2:]
        np.testing.assert_allclose(periods, COMPUTE + 2 * WAY + transfers * x, rtol=1e-10)


@pytest.mark.parametrize("shards", [1, 2, 3])
@pytest.mark.parametrize("gradient", [3e5, 3e7])
def test_r3_fifo_links_and_unequal_workers(shards, gradient):
    """Pushes queue in the order in which they are sent, replies leave in rank order."""
    got, _ = ends(**sync_ps(shards=shards, gradient=gradient))
    c, nics, now = compute_times(N), Nics(), np.zeros(N)
    for t in range(STEPS):
        f = now + c[:, t]
        complete = np.zeros(shards)
        for i in np.argsort(f):
            for k in range(shards):
                arrived = nics.carry(i, f"server {k}", f[i], gradient / shards)
                complete[k] = max(complete[k], arrived)
        now = np.zeros(N)
        for k in np.argsort(complete):
            for i in range(N):
                reply = nics.carry(f"server {k}", i, complete[k], gradient / shards)
                now[i] = max(now[i], reply)
        np.testing.assert_allclose([own[t] for own in got], now, rtol=1e-12)


@pytest.mark.parametrize("gradient", [3e5, 3e7])
def test_r3_fair_links_and_unequal_workers(gradient):
    """The server's NIC is never idle while somebody pushes; then N replies share it."""
    got, _ = ends(**sync_ps(gradient=gradient, fidelity="flow"))
    c, x, now = compute_times(N), gradient * 8 / NIC, 0.0
    for t in range(STEPS):
        into = -np.inf
        for push in sorted(now + c[:, t] + WAY):
            into = max(into, push) + x
        now = into + WAY + N * x
        np.testing.assert_allclose([own[t] for own in got], now, rtol=1e-10)


def test_t9_the_period_grows_with_workers_and_shards_divide_the_slope():
    def period(n, shards):
        made = sync_ps(n, shards, gradient=1e7, fidelity="flow", noise=0)
        return simulate(**made).summary["simulated_time_s"] / STEPS

    x = 1e7 * 8 / NIC
    for shards in (1, 2, 4):
        assert period(8, shards) - period(4, shards) == pytest.approx(2 * 4 * x / shards)


@pytest.mark.parametrize("kind", ["sync-ps", "backup-workers"])
def test_t4_a_slow_worker_slows_all_unless_there_is_a_backup(kind):
    def counts(factor):
        slow = [{"kind": "slow-workers", "workers": [2], "factor": factor}]
        result = simulate(
            **merged(
                setting(4, algorithm={"kind": kind}, noise=0, stop={"time": 5.01, "steps": None}),
                {"stragglers": slow},
            )
        )
        return np.bincount(result.tables["steps"]["worker"], minlength=4)

    fair, slow = counts(1.0), counts(3.0)
    assert fair.tolist() == [fair[0]] * 4
    if kind == "sync-ps":
        assert slow.max() - slow.min() <= 1
        assert slow.max() == pytest.approx(fair[0] / 3, abs=1)
    else:
        assert slow.tolist() == [fair[0], fair[0], 0, fair[0]]


# -- backup workers ----------------------------------------------------------------------

END = 2.0  # s


def backup(b, late="abort", **changes):
    algorithm = {"kind": "backup-workers", "backup": b, "late": late}
    stop = {"time": END, "steps": None}
    return setting(N, algorithm=algorithm, stop=stop, learning=MOMENTUM, **changes)


def by_hand(learner, b, late, gradient, fidelity, horizon=END):
    """R4 and the parameters: {(rank, row): (end, parameters, 0)}, dropped, updates.

    One round per update; a worker begins when the model has come and it is free, and the
    N - b gradients of this model that arrive first are used.
    """
    c, x, wanted = compute_times(N), gradient * 8 / NIC, N - b
    drawn, free, row, rows, dropped = [0] * N, np.zeros(N), [0] * N, {}, []
    w, v, model, updates = learner.start, np.zeros_like(learner.start), np.zeros(N), 0
    pending = [False] * N  # is it busy with a gradient of an older model?
    while model.min() < horizon:
        begin = np.maximum(model, free)
        f = begin + np.array([c[i, drawn[i]] for i in range(N)])
        arrived = f + WAY + x
        over = np.sort(arrived)[wanted - 1]
        share = np.arange(1, N + 1) if fidelity == "alpha-beta" else np.full(N, N)
        following = over + WAY + share * x
        used = []
        for i in range(N):
            if free[i] > model[i] and pending[i] and free[i] < following[i]:
                # what it was late with is over now: it takes this model
                rows[i, row[i]] = free[i], w, 0
                row[i] += 1
                dropped.append(free[i] + WAY + x)
                pending[i] = False
            if begin[i] >= following[i]:
                continue  # busy with an older one all the time
            drawn[i] += 1
            grad = learner.gradient(i, w)
            if arrived[i] <= over:
                used.append(grad)
            elif late == "abort" and f[i] > following[i]:
                free[i] = following[i]
                continue
            elif f[i] <= following[i]:
                dropped.append(arrived[i])
            free[i] = f[i]
            pending[i] = f[i] > following[i]
        assert len(used) == wanted
        v = 0.9 * v + np.mean(used, axis=0) + 0.01 * w
        w, model, updates = w - 0.05 * v, following, updates + (over <= horizon)
        for i in range(N):
            if free[i] <= model[i] and not pending[i] and not (late == "abort" and f[i] > model[i]):
                rows[i, row[i]] = model[i], w, 0
                row[i] += 1
    done = {key: value for key, value in rows.items() if value[0] <= horizon}
    return done, sum(at <= horizon for at in dropped), updates


@BOTH_LINK_MODES
@pytest.mark.parametrize("late", ["abort", "finish"])
@pytest.mark.parametrize("b", [0, 1, 2, 4])
def test_r4_the_first_gradients_make_the_step(b, late, fidelity, monkeypatch):
    """T10.  Times, parameters and staleness of everybody; what comes later is dropped."""
    made = backup(b, late, fidelity=fidelity)
    cluster, got = recorded(monkeypatch, **made)
    expected, dropped, _ = by_hand(Learner(cluster), b, late, 1e3, fidelity)
    assert sorted(got) == sorted(expected)
    for key, (end, params, staleness) in expected.items():
        np.testing.assert_allclose(got[key][0], end, rtol=1e-12)
        np.testing.assert_allclose(got[key][1], params, atol=1e-12)
        assert got[key][2] == staleness == 0
    summary = simulate(**made).summary
    assert summary["samples"] == 8 * len(expected)
    assert summary["samples_applied"] == 8 * (len(expected) - dropped)
    if late == "finish" and b:
        assert dropped > 3


def test_t10_step_time_is_the_order_statistic():
    """L(t) = L(t-1) + c_(N)(t) + T_agg where nobody's slowness lasts."""
    for b in (0, 1, 3):
        got, _ = ends(**merged(backup(b), {"stragglers": []}))
        c, now, begun = compute_times(N, slow=1.0), 0.0, 0
        last = np.unique(np.concatenate(got).round(4))
        while (now := now + np.sort(c[:, begun])[N - b - 1] + 2 * WAY) < END - 0.1:
            assert np.abs(last - now).min() < 2e-4
            begun += 1
        assert begun > 10


def test_t10_the_discarded_share():
    """b of N + b gradients that were begun, aborted ones and those that came too late."""
    begun = []
    with pytest.MonkeyPatch.context() as patch:
        original = Worker.compute_gradient

        def compute_gradient(self, *arguments):
            begun.append(self.rank)
            return original(self, *arguments)

        patch.setattr(Worker, "compute_gradient", compute_gradient)
        cluster = played(**backup(2))
    _, _, updates = by_hand(Learner(cluster), 2, "abort", 1e3, "alpha-beta")
    assert len(begun) == N * (updates + 1)  # the last ones are under way
    applied = cluster.progress.samples - cluster.progress.dropped
    assert applied == 8 * (N - 2) * updates
    assert 1 - applied / 8 / (len(begun) - N) == pytest.approx(2 / N)


@BOTH_LINK_MODES
@pytest.mark.parametrize("late", ["abort", "finish"])
def test_t10_without_backup_it_is_the_synchronous_server(late, fidelity):
    same = {"gradient": 3e6, "fidelity": fidelity, "learning": MOMENTUM}
    one = simulate(
        **setting(N, algorithm={"kind": "backup-workers", "backup": 0, "late": late}, **same)
    )
    two = simulate(**sync_ps(**same))
    for name in ("worker", "step", "end_s", "loss"):
        np.testing.assert_array_equal(one.tables["steps"][name], two.tables["steps"][name])
    assert one.summary["final_loss"] == two.summary["final_loss"]
    assert one.summary["samples_applied"] == one.summary["samples"]


@pytest.mark.parametrize("late", ["abort", "finish"])
def test_t2_dropped_pushes_use_bandwidth_unless_aborted(late):
    """Every finished gradient is pushed, every model goes to all N + b workers."""
    result = simulate(**backup(2, late, gradient=1e4))
    messages = result.tables["messages"]
    steps = result.tables["steps"]["worker"]
    kinds = messages["kind"]
    replies = kinds.count("pull")
    updates = replies // N
    assert replies - updates * N in range(N)
    assert updates > 20
    pushed = np.bincount(
        [int(s[4:]) for s, k in zip(messages["source"], kinds, strict=True) if k == "push"],
        minlength=N,
    )
    finished = np.bincount(steps, minlength=N)
    assert set(pushed - finished) <= {0, 1}
    if late == "finish":
        assert kinds.count("push") > (N - 2) * (updates + 1)
    np.testing.assert_allclose(messages["nbytes"], 1e4)


def test_t10_backup_workers_help_until_more_are_slow():
    def time(b, slow):
        stragglers = [{"kind": "slow-workers", "workers": slow, "factor": 4.0}]
        result = simulate(**merged(backup(b, noise=0), {"stragglers": stragglers}))
        return END / (result.tables["messages"]["kind"].count("pull") / N)

    fast, slow = COMPUTE + 2 * WAY, 4 * COMPUTE + 2 * WAY
    for b, workers, expected in ((0, [1], slow), (1, [1], fast), (1, [1, 2], slow)):
        assert time(b, workers) == pytest.approx(expected, rel=0.15)
    assert time(2, [1, 2]) == pytest.approx(fast, rel=0.15)


def test_t10_nobody_to_wait_for_is_refused():
    with pytest.raises(Exception, match="6 backup workers leave none of 6 to wait for"):
        scenario(**setting(N, algorithm={"kind": "backup-workers", "backup": N}))


@pytest.mark.parametrize("late", ["abort", "finish"])
def test_t10_an_abandoned_step_is_anybodys_to_take(late):
    """A budget of gradients is used up by those that came to an end, and nothing stalls."""
    algorithm = {"kind": "backup-workers", "backup": 2, "late": late}
    result = simulate(**setting(N, algorithm=algorithm))
    assert result.summary["status"] == "completed"
    assert len(result.tables["steps"]["worker"]) == N * STEPS
    first = [worker for worker in result.tables["steps"]["worker"] if worker]
    assert len(first) > (N - 1) * STEPS  # others took those of worker 0, which is slow


@pytest.mark.parametrize("late", ["abort", "finish"])
def test_t10_the_last_rounds_do_not_wait_for_those_who_have_left(late):
    """Whatever the budget and whoever is the last: it ends, and every step of it is taken."""
    for n, b in ((3, 1), (4, 1), (4, 2)):
        algorithm = {"kind": "backup-workers", "backup": b, "late": late}
        for seed in range(12):
            made = setting(n, algorithm=algorithm, noise=0.8, stop={"steps": 3}, seed=seed)
            result = simulate(**made)
            assert result.summary["status"] == "completed", (n, b, seed, result.warnings)
            assert len(result.tables["steps"]["worker"]) == 3 * n
