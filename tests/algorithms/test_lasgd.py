"""LASGD against a loop over arrivals: T2, T4, T18 and every switch."""

import heapq
from itertools import count, pairwise

import numpy as np
import pytest

from simulator.cluster.noise import LognormalNoise
from simulator.cluster.server import Server
from simulator.engine import Streams
from tests.algorithms.test_local import RATE, TIGHT, Plain, record_steps
from tests.make import merged, played, simulate

NIC, PCIE, NBYTES, COMPUTE = 1e10, 1e11, 4000.0, 0.05
INSIDE = 0.004  # latency of a GPU's link
SHAPES = {"2x2": (2, 2, 0.02), "4x1": (4, 1, 0.008), "2x3": (2, 3, 0.005)}  # Q, G, latency
F64 = {"learning": {"dtype": "float64"}}


def asked(shape, mu=0.0, steps=12, **algorithm):
    """Messages too small to share a link, and so late that they overlap with everything."""
    hosts, gpus, latency = SHAPES[shape]
    return {
        "topology": {
            "hosts": hosts,
            "gpus_per_host": gpus,
            "host_link": {"bandwidth": NIC, "latency": latency},
            "intra_host": {"bandwidth": PCIE, "latency": INSIDE},
        },
        "network": {"all_reduce": "ring", "fidelity": "flow"},
        "workload": {"gradient": NBYTES, "compute": COMPUTE},
        "learning": {
            "dtype": "float64",
            "optimizer": {"momentum": mu, "weight_decay": 0.01},
        },
        "stop": {"steps": steps},
        "algorithm": {"kind": "lasgd"} | algorithm,
    }


class Arrivals:
    """LASGD as a queue of things that happen, each at its time."""

    def __init__(self, plain, shape, mu=0.0, steps=12, **switches):
        self.plain, self.mu = plain, mu
        self.hosts, self.gpus, latency = SHAPES[shape]
        self.trigger = switches.get("trigger", "updates")
        self.period, self.interval = switches.get("period", 8), switches.get("interval", 1.0)
        self.merge, self.alpha = switches.get("merge", "in-place"), switches.get("elasticity", 0.5)
        self.serial = switches.get("local_update") == "server"
        self.per_node = switches.get("momentum") == "node"
        n = self.hosts * self.gpus
        noise = LognormalNoise(sigma=0.3)
        self.c = [COMPUTE * noise.draw(Streams(0).get("noise", i), 64) for i in range(n)]
        self.way = INSIDE + NBYTES * 8 / PCIE
        self.activation = np.log2(self.hosts) * 2 * latency
        self.t_ar = 2 * (self.hosts - 1) * (2 * latency + NBYTES / self.hosts * 8 / NIC)
        self.x = [plain.start] * self.hosts
        self.v = [np.zeros_like(plain.start) for _ in range(self.hosts if self.per_node else n)]
        self.updates, self.counted = [0] * self.hosts, [0] * self.hosts
        self.snaps, self.under_way, self.begun, self.rounds = None, False, 0.0, 0
        self.late = 0  # updates between a snapshot and its average
        self.held, self.seen = [plain.start] * n, [0] * n
        self.ends, self.params, self.missed = {}, {}, {}
        self.serving = [None] * self.hosts  # who exchanges with the host's server
        self.queues = [[] for _ in range(self.hosts)]
        self.queue, self.order = [], count()
        self.left = steps * n
        self.done = [0] * n
        self.working = n
        for i in range(n):
            self.left -= 1
            self.at(self.c[i][0], self.computed, i)
        while self.working:
            self.now, _, what, args = heapq.heappop(self.queue)
            what(*args)

    def at(self, time, what, *args):
        heapq.heappush(self.queue, (time, next(self.order), what, args))

    def computed(self, i):
        q = i // self.gpus
        if self.serial and self.serving[q] is not None:
            self.queues[q].append(i)
        else:
            self.serving[q] = i
            self.at(self.now + self.way, self.arrived, i)

    def arrived(self, i):
        q, t = i // self.gpus, self.done[i]
        owner = q if self.per_node else i
        g = self.plain.grad(self.held[i], i, t) + 0.01 * self.x[q]
        self.v[owner] = self.mu * self.v[owner] + g
        self.x[q] = self.x[q] - RATE * self.v[owner]
        self.missed[i, t] = self.updates[q] - self.seen[i]
        self.updates[q] += 1
        self.seen[i] = self.updates[q]
        self.late += self.under_way and self.snaps is not None
        self.held[i] = self.x[q]
        self.at(self.now + self.way, self.replied, i)
        self.look()

    def replied(self, i):
        q, t = i // self.gpus, self.done[i]
        self.ends[i, t], self.params[i, t] = self.now, self.held[i]
        self.done[i] += 1
        self.serving[q] = None
        if self.queues[q]:
            self.computed(self.queues[q].pop(0))
        if self.left:
            self.left -= 1
            self.at(self.now + self.c[i][t + 1], self.computed, i)
        else:
            self.working -= 1

    def look(self):
        """Begin an averaging if the trigger says so."""
        new = max(now - then for now, then in zip(self.updates, self.counted, strict=True))
        if self.under_way or not new:
            return
        if self.trigger == "updates" and new < self.period:
            return
        if self.trigger == "timer" and self.now < self.begun + self.interval - 1e-12:
            self.at(self.begun + self.interval, self.look)
            return
        self.under_way, self.begun, self.snaps = True, self.now, None
        self.at(self.now + self.activation, self.snapshot)

    def snapshot(self):
        self.snaps, self.counted = list(self.x), list(self.updates)
        self.at(self.now + self.t_ar, self.averaged)

    def averaged(self):
        mean = np.mean(self.snaps, axis=0)
        for q, snap in enumerate(self.snaps):
            if self.merge == "overwrite":
                self.x[q] = mean
            else:
                share = self.alpha if self.merge == "elastic" else 1.0
                self.x[q] = self.x[q] + share * (mean - snap)
        self.under_way, self.rounds = False, self.rounds + 1
        self.look()


def agree(cluster, history, loop):
    """Does the run of *cluster* do what *loop* says, step by step?"""
    steps = cluster.trace.steps.columns()
    ends, missed = {}, {}
    for i, t, end, staleness in zip(
        steps["worker"], steps["step"], steps["end_s"], steps["staleness"], strict=True
    ):
        ends[int(i), int(t)], missed[int(i), int(t)] = end, staleness
    assert ends == pytest.approx(loop.ends, rel=1e-9)
    assert missed == loop.missed
    assert max(missed.values()) > 0 or loop.gpus == 1
    for key, params in loop.params.items():
        np.testing.assert_allclose(history[key], params, err_msg=str(key), **TIGHT)
    got = [params for params, _ in cluster.evaluated()]
    np.testing.assert_allclose(got, loop.x, **TIGHT)


@pytest.fixture
def history(monkeypatch):
    return record_steps(monkeypatch)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("merge", ["in-place", "overwrite", "elastic"])
@pytest.mark.parametrize(
    "trigger",
    [
        {"trigger": "updates", "period": 1},
        {"trigger": "updates", "period": 5},
        {"trigger": "back-to-back", "period": 5},
        {"trigger": "timer", "interval": 0.11},
        {"trigger": "timer", "interval": 0.01},
    ],
    ids=lambda trigger: "-".join(map(str, trigger.values())),
)
def test_t18_merges_and_triggers_against_a_loop_over_arrivals(history, shape, merge, trigger):
    """In-place: x = mean + late updates; overwrite loses them; elastic moves a part of the way."""
    algorithm = {"merge": merge, "elasticity": 0.3} | trigger
    cluster = played(**asked(shape, **algorithm))
    loop = Arrivals(Plain(cluster, 64), shape, **algorithm)
    assert loop.rounds > 1
    assert loop.late > 0
    agree(cluster, history, loop)


@pytest.mark.parametrize("local_update", ["lock-free", "server"])
@pytest.mark.parametrize("momentum", ["gpu", "node"])
@pytest.mark.parametrize("shape", SHAPES)
def test_t18_local_updates_and_momentum_against_a_loop_over_arrivals(
    history, shape, local_update, momentum
):
    """All at once, or first come first served; a velocity for each GPU, or one for the node."""
    switches = {"local_update": local_update, "momentum": momentum, "period": 3}
    cluster = played(**asked(shape, mu=0.9, **switches))
    agree(cluster, history, Arrivals(Plain(cluster, 64), shape, 0.9, **switches))


def test_t18_groups_need_not_be_hosts(history):
    """One model for all: no masters, no averaging."""
    cluster = played(**asked("2x2", group_size=4))
    assert len(cluster.evaluated()) == 1
    assert "all-reduce" not in {row[2] for row in cluster.trace.messages.columns()}


@pytest.mark.parametrize("merge", ["in-place", "elastic", "overwrite"])
def test_t18_corrections_add_up_to_zero(monkeypatch, merge):
    """Only gradients move the mean of the hosts' models, unless late updates are lost."""
    pushed, add = [], Server.add

    def adding(self, worker, change, *rest):
        pushed.append(change)
        return add(self, worker, change, *rest)

    monkeypatch.setattr(Server, "add", adding)
    cluster = played(**asked("2x3", merge=merge, period=4, steps=20))
    moved = sum(params - cluster.job.start for params, _ in cluster.evaluated())
    lost = abs(moved - sum(pushed)).max()
    assert len(pushed) == 6 * 20
    assert lost > 1e-3 if merge == "overwrite" else lost < 1e-12


def test_t18_without_averaging_nodes_are_independent(history):
    """H = infinity: each node learns as if it were alone."""
    cluster = played(**asked("4x1", period=10**6))
    plain = Plain(cluster, 64)
    for i in range(4):
        w, t = plain.start, 0
        while (i, t) in history:
            w = w - RATE * (plain.grad(w, i, t) + 0.01 * w)
            np.testing.assert_allclose(history[i, t], w, **TIGHT)
            t += 1
        assert t > 5
        np.testing.assert_allclose(cluster.evaluated()[i][0], w, **TIGHT)
    assert 0 not in [abs(history[0, 0] - history[i, 0]).max() for i in (1, 2, 3)]


def test_t18_one_gpu_per_node_and_a_short_all_reduce_is_delayed_averaging():
    """H = 1, and every averaging is over before the next gradient: the mean of all, plus own."""
    short = merged(
        asked("4x1", period=1),
        {
            "topology": {"host_link": {"latency": 1e-4}, "intra_host": {"latency": 1e-6}},
            "workload": {"noise": "none"},
        },
    )
    lasgd = played(**short)
    plain = Plain(lasgd, 12)
    w, _ = plain.replicas()
    for t in range(12):
        # weight decay is that of the host's model when the gradient arrives
        w = w.mean(0) - RATE * (plain.grads(w, t) + 0.01 * w.mean(0))
    np.testing.assert_allclose([params for params, _ in lasgd.evaluated()], w, **TIGHT)


def test_t18_one_gpu_per_node_without_communication_time_averages_every_step():
    """H = 1 and communication that takes no time: every gradient is taken at the mean model."""
    instant = merged(
        asked("4x1", period=1),
        {
            "topology": {
                "host_link": {"latency": 0, "bandwidth": 1e18},
                "intra_host": {"latency": 0, "bandwidth": 1e18},
            },
            "workload": {"noise": "none", "gradient": 0},
        },
    )
    cluster = played(**instant)
    plain = Plain(cluster, 12)
    w = plain.start
    for t in range(12):
        w = w - RATE * (plain.grads(np.tile(w, (4, 1)), t).mean(0) + 0.01 * w)
    mean = np.mean([params for params, _ in cluster.evaluated()], axis=0)
    np.testing.assert_allclose(mean, w, **TIGHT)


@pytest.mark.parametrize("momentum", ["gpu", "node"])
def test_the_rate_follows_the_epochs_of_a_node_whosever_the_momentum_is(history, momentum):
    """Its schedule goes by batches per loader: four GPUs' steps are no four steps of one."""
    made = merged(
        asked("2x3", momentum=momentum),
        {"learning": {"optimizer": {"schedule": {"kind": "step", "every": 6, "gamma": 1e-12}}}},
    )
    played(**made)
    moves = {
        t: min(abs(history[i, t] - history[i, t - 1]).max() for i in range(6)) for t in (3, 4, 9)
    }
    assert moves[3] > 1e-4
    assert moves[4] > 1e-4


def test_t4_a_slow_gpu_slows_nobody():
    """Neither on its own host nor on another one, whatever the masters do."""

    def counts(factor):
        result = simulate(
            topology={"hosts": 2, "gpus_per_host": 2},
            algorithm={"kind": "lasgd", "period": 3},
            workload={"gradient": "1 kB", "noise": "none"},
            stop={"time": "5.01 s", "steps": None},
            stragglers=[{"kind": "slow-workers", "workers": [2], "factor": factor}],
        )
        return np.bincount(result.tables["steps"]["worker"], minlength=4)

    fair, slow = counts(1.0), counts(3.0)
    assert (slow[[0, 1, 3]] == fair[[0, 1, 3]]).all()
    assert slow[2] == pytest.approx(fair[2] / 3, abs=1)


def test_t2_messages_of_lasgd():
    """m up and m down per local step; 2(Q-1)/Q m per master and averaging, nothing else."""
    result = simulate(
        topology={"hosts": 4, "gpus_per_host": 2},
        network={"all_reduce": "ring"},
        algorithm={"kind": "lasgd", "period": 6},
        workload={"noise": "none", "gradient": "1 MB"},
        stop={"steps": 31},
    )
    kinds = result.tables["messages"]["kind"]
    steps, rounds = 31 * 8, kinds.count("all-reduce")
    assert kinds.count("push") == kinds.count("pull") == steps
    assert kinds.count("activation") == rounds == 31 * 2 // 6
    assert len(kinds) == 2 * steps + 2 * rounds
    assert result.summary["bytes_sent"] == pytest.approx(2 * steps * 1e6 + rounds * 2 * 3 * 1e6)
    links = result.tables["links"]
    for source, target, nbytes in zip(
        links["source"], links["target"], links["nbytes"], strict=True
    ):
        if "switch0" in (source, target):
            assert nbytes == pytest.approx(rounds * 2 * 3 / 4 * 1e6)
        else:
            assert nbytes == pytest.approx(31 * 1e6)


def test_t18_one_averaging_at_a_time():
    """Back to back, whatever the all-reduce: a round begins when the one before is over."""
    made = asked("4x1", trigger="back-to-back", steps=30)
    messages = simulate(**made | {"network": {"all_reduce": "tree"}}).tables["messages"]
    rows = sorted(zip(messages["start_s"], messages["end_s"], messages["kind"], strict=True))
    rows = [row for row in rows if row[2] in ("activation", "all-reduce")]
    assert [kind for _, _, kind in rows[:6]] == ["activation", "all-reduce"] * 3
    for before, after in pairwise(rows):
        assert after[0] >= before[1] - 1e-12
