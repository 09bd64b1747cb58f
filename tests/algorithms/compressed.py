"""What plain loops of compressed algorithms have in common; nothing here knows the engine."""

import numpy as np

from simulator.cluster import Worker
from simulator.engine import Streams
from simulator.learning import minibatches
from tests.make import merged, played, simulate

RATE, BATCH, STEPS = 0.05, 8, 12
TIGHT = {"rtol": 0, "atol": 1e-12}
NIC, LATENCY, COMPUTE, GRADIENT = 10e9, 1e-5, 0.05, 10e6
SPEED, SELECT, SKETCH, MULTIPLY = 0.5, 3e-9, 2e-9, 4e-9  # seconds per element, for tests of times


def star(hosts):
    """One worker per host, and links as in the closed forms."""
    return {
        "hosts": hosts,
        "gpus_per_host": 0,
        "host_link": {"bandwidth": NIC, "latency": LATENCY},
    }


class Plain:
    """What a plain loop needs of a cluster: initial parameters, batches, gradients."""

    def __init__(self, cluster, steps=STEPS, batch=BATCH):
        self.job, self.start = cluster.job, cluster.job.start
        self.n, self.d = len(cluster.workers), len(cluster.job.start)
        self.steps = steps
        shards = enumerate(cluster.shards)
        drawn = [minibatches(shard, batch, Streams(0).get("data", i)) for i, shard in shards]
        self._drawn = np.array([[next(one)[0] for _ in range(steps)] for one in drawn])

    def grads(self, w, t):
        """Gradient of every worker at the common parameters *w* on its batch number *t*."""
        samples, data = self._drawn[:, t], self.job.data
        return self.job.model.gradients(w[None], data.x[samples], data.y[samples])[1]

    def zeros(self):
        return np.zeros((self.n, self.d))


def run(monkeypatch, kind, hosts=4, steps=STEPS, rule=None, learning=None, **settings):
    """A finished run in float64: its plain data, and the parameters (worker, step) it had."""
    kept = {}
    with monkeypatch.context() as patch:
        original = Worker.finish_step

        def finish_step(self, step, params, *rest, **more):
            kept[self.rank, step] = params.copy()
            original(self, step, params, *rest, **more)

        patch.setattr(Worker, "finish_step", finish_step)
        changes = {"dtype": "float64", "optimizer": rule or {}}
        cluster = played(
            learning=merged(changes, learning or {}),
            algorithm={"kind": kind} | settings,
            topology={"hosts": hosts, "gpus_per_host": 0},
            stop={"steps": steps},
        )
    got = np.array([[kept[i, t] for t in range(steps)] for i in range(hosts)])
    batch = (learning or {}).get("batch_size", BATCH)
    return Plain(cluster, steps, batch), got


def follows(got, loop):
    """Every worker has the parameters of the *loop* after every step."""
    wanted = list(loop)
    assert len(wanted) == got.shape[1]
    for worker in got:
        np.testing.assert_allclose(worker, np.array(wanted), **TIGHT)
    assert np.abs(np.diff(np.array(wanted), axis=0)).max(1).min() > 1e-6  # it does move


def largest(values, k):
    """Indices of the *k* largest magnitudes; of equal ones the first."""
    order = sorted(range(len(values)), key=lambda i: (-abs(values[i]), i))
    return np.array(sorted(order[:k]), int)


def bytes_of(kind, hosts=4, steps=STEPS, workload=None, network=None, learning=None, **settings):
    """All bytes sent, and those of every link direction, {(source, target): bytes}."""
    result = simulate(
        topology={"hosts": hosts, "gpus_per_host": 0},
        workload={"noise": "none"} | (workload or {"gradient": GRADIENT}),
        network={"all_reduce": "ring"} | (network or {}),
        learning=learning or {},
        algorithm={"kind": kind} | settings,
        stop={"steps": steps},
    )
    links = result.tables["links"]
    ends = zip(links["source"], links["target"], links["nbytes"], strict=True)
    return result.summary["bytes_sent"], {(a, b): float(nbytes) for a, b, nbytes in ends}


def compute_times(hosts, steps, sigma=0.4):
    """c[i, t] of workers with lognormal noise, from their own streams; host 0 is slow."""
    z = [Streams(0).get("noise", i).standard_normal(steps) for i in range(hosts)]
    c = COMPUTE * np.exp(sigma * np.array(z) - sigma**2 / 2)
    c[0] /= SPEED
    return c


def ends(kind, hosts, steps=STEPS, nbytes=GRADIENT, **settings):
    """L[i, t]: recorded end of step t of worker i on a star in alpha-beta; host 0 is slow."""
    result = simulate(
        topology=star(hosts),
        network={"fidelity": "alpha-beta", "all_reduce": "ring"},
        workload={
            "gradient": nbytes,
            "compute": COMPUTE,
            "noise": {"kind": "lognormal", "sigma": 0.4},
        },
        hosts=[{"hosts": 0, "speed": SPEED}],
        algorithm={"kind": kind} | settings,
        stop={"steps": steps},
    )
    table = result.tables["steps"]
    finished = np.full((hosts, steps), np.nan)
    finished[table["worker"], table["step"]] = table["end_s"]
    return finished


def slowness(hosts):
    """By worker: host 0 is slow in whatever it computes."""
    return np.where(np.arange(hosts) == 0, 1 / SPEED, 1.0)


def blocking(hosts, stages, steps=STEPS):
    """L[i, t] of stages (seconds at full speed, communication), in which all wait for all.

    What is computed beside gradients takes longer on the slow host as well.
    """
    c, now = compute_times(hosts, steps), np.zeros(hosts)
    found = np.empty((hosts, steps))
    for t in range(steps):
        now = now + c[:, t]
        for seconds, communication in stages:
            now = now + seconds * slowness(hosts)
            if communication:
                now = np.full(hosts, now.max() + communication)
        found[:, t] = now
    return found


def resnet18():
    """Shapes of its tensors, written down from the paper's table."""
    yield (64, 3, 7, 7)
    yield from [(64,), (64,)]
    inputs = 64
    for channels in (64, 128, 256, 512):
        for block in range(2):
            for before in (inputs, channels):
                yield (channels, before, 3, 3)
                yield from [(channels,), (channels,)]
            if block == 0 and inputs != channels:
                yield (channels, inputs, 1, 1)
                yield from [(channels,), (channels,)]
            inputs = channels
    yield (1000, 512)
    yield (1000,)
