"""Servers by hand: a plain loop over generators, NICs as two queues, and the workers' draws.

What the tests of servers compare simulations with.  A worker is a generator that gives
the time at which it goes on; nothing here knows the engine.
"""

import heapq
import itertools

import numpy as np

from simulator.cluster import Worker
from simulator.cluster.noise import LognormalNoise
from simulator.engine import Streams
from simulator.learning import minibatches
from tests.make import merged, played, simulate

NIC, LATENCY, COMPUTE, SIGMA, SLOW, RATE = 10e9, 1e-5, 0.05, 0.3, 2.0, 0.05
WAY = 2 * LATENCY  # of a message between two hosts of a star


def setting(n, gradient=1e3, fidelity="alpha-beta", noise=SIGMA, **changes):
    """Scenario: one worker per host, worker 0 slow, a model whose 156 numbers split evenly."""
    base = {
        "topology": {
            "hosts": n,
            "gpus_per_host": 0,
            "host_link": {"bandwidth": NIC, "latency": LATENCY},
        },
        "network": {"all_reduce": "ring", "fidelity": fidelity},
        "workload": {
            "gradient": gradient,
            "compute": COMPUTE,
            "noise": {"kind": "lognormal", "sigma": noise} if noise else "none",
        },
        "learning": {"dtype": "float64", "model": {"kind": "mlp", "hidden": [9]}},
        "stragglers": [{"kind": "slow-workers", "workers": [0], "factor": SLOW}] if noise else [],
    }
    return merged(base, changes)


def recorded(monkeypatch, **scenario):
    """The cluster of a run and {(rank, n-th row): (end, parameters, staleness)}."""
    kept, rows = {}, {}
    original = Worker.finish_step

    def finish_step(self, step, params, loss, staleness=None, *rest, **more):
        number = rows[self.rank] = rows.get(self.rank, -1) + 1
        kept[self.rank, number] = self.cluster.env.now, params.copy(), staleness
        original(self, step, params, loss, staleness, *rest, **more)

    with monkeypatch.context() as patch:
        patch.setattr(Worker, "finish_step", finish_step)
        cluster = played(**scenario)
    return cluster, kept


def agree(got, expected, staleness=True):
    """Both records have the same rows, times, parameters and staleness."""
    assert sorted(got) == sorted(expected)
    for key, (end, params, missed) in expected.items():
        np.testing.assert_allclose(got[key][0], end, rtol=1e-12)
        np.testing.assert_allclose(got[key][1], params, atol=1e-12, rtol=1e-12)
        if staleness:
            assert got[key][2] == missed, key


def ends(**scenario):
    """L[worker, n]: end of the n-th row of every worker, and the result."""
    result = simulate(**scenario)
    table = result.tables["steps"]
    lists = [[] for _ in range(result.summary["workers"])]
    for worker, end in zip(table["worker"], table["end_s"], strict=True):
        lists[worker].append(end)
    return lists, result


def compute_times(n, noise=SIGMA, seed=0, slow=SLOW, count=512):
    """c[i, k]: time of the k-th gradient of worker i."""
    if not noise:
        return np.full((n, count), COMPUTE)
    law = LognormalNoise(sigma=noise)
    c = np.array([COMPUTE * law.draw(Streams(seed).get("noise", i), count) for i in range(n)])
    c[0] *= slow
    return c


class Learner:
    """Gradients of every worker on its own batches, one after the other."""

    def __init__(self, cluster, seed=0, size=8):
        self.job = cluster.job
        self.start = cluster.job.start.copy()
        self._batches = [
            minibatches(shard, size, Streams(seed).get("data", rank))
            for rank, shard in enumerate(cluster.shards)
        ]

    def gradient(self, worker, w):
        x, y, samples = self.job.data.x, self.job.data.y, next(self._batches[worker])[0]
        _, grad = self.job.model.gradients(w[None], x[samples][None], y[samples][None])
        return grad[0]

    def mean(self, workers, w):
        return np.mean([self.gradient(worker, w) for worker in range(workers)], axis=0)


class Nics:
    """Messages queue first come first served where they leave and where they arrive."""

    def __init__(self, queues=True):
        self.queues, self.out, self.into = queues, {}, {}

    def carry(self, source, target, ready, nbytes):
        """When a message that may leave at *ready* has arrived."""
        x = nbytes * 8 / NIC
        if not self.queues:
            return ready + WAY + x
        sent = max(self.out.get(source, 0.0), ready)
        self.out[source] = sent + x
        self.into[target] = max(sent + WAY, self.into.get(target, 0.0)) + x
        return self.into[target]

    def call(self, worker, server, ready, up, down):
        """When a request arrives and when its answer does."""
        arrived = self.carry(worker, server, ready, up)
        return arrived, self.carry(server, worker, arrived, down)


class Loop:
    """Runs generators that give a time to go on at, or a condition to wait for."""

    def __init__(self):
        self.now, self._heap, self._order, self._parked = 0.0, [], itertools.count(), []

    def start(self, process):
        self._go_on(process)

    def at(self, time, action):
        """Do *action* at *time*, after what was to be done then already."""

        def later():
            yield time
            action()

        self.start(later())

    def run(self):
        while self._heap:
            self.now, _, process = heapq.heappop(self._heap)
            self._go_on(process)
            for entry in list(self._parked):
                if entry[0]():
                    self._parked.remove(entry)
                    self._go_on(entry[1])
        assert not self._parked

    def _go_on(self, process):
        due = next(process, None)
        if callable(due):
            self._parked.append((due, process))
        elif due is not None:
            heapq.heappush(self._heap, (due, next(self._order), process))


def tickets(total):
    """A common pool of steps: every worker's own count goes on while there are some."""
    left = [total]

    def draw():
        for step in itertools.count():
            if not left[0]:
                return
            left[0] -= 1
            yield step

    return draw


class ByHand:
    """A cluster with one server (in shards), which adds what arrives; rows as in `recorded`."""

    def __init__(self, cluster, n, gradient=1e3, shards=1, queues=True, steps=12):
        self.learner, self.nics, self.loop = Learner(cluster), Nics(queues), Loop()
        self.n, self.m, self.shards, self.c = n, gradient, shards, compute_times(n).tolist()
        self.centre, self.rows, self.draw = self.learner.start, {}, tickets(n * steps)
        self.changers = []  # ranks, in order of what the first shard has added
        self.parts = np.array_split(np.arange(len(self.centre)), shards)

    def run(self, worker):
        for rank in range(self.n):
            self.loop.start(worker(self, rank))
        self.loop.run()
        return self.rows

    def step(self, rank, w, decay=0.01):
        """Change of a plain step."""
        return -RATE * (self.learner.gradient(rank, w) + decay * w)

    def call(self, rank, up, down, handlers):
        """Requests to all shards, which do what *handlers* say; when the last answer is there."""
        over = []
        for k, handler in enumerate(handlers):
            sizes = up / self.shards, down / self.shards
            arrived, end = self.nics.call(rank, f"server {k}", self.loop.now, *sizes)
            self.loop.at(arrived, handler)
            over.append(end)
        return max(over)

    def missed(self, rank, since):
        """Changes by others since the value that a gradient was taken at."""
        return sum(other != rank for other in self.changers[since:])

    def add(self, change, shard=0):
        self.centre = self.centre.copy()
        self.centre[self.parts[shard]] += change[self.parts[shard]]

    def finish(self, rank, step, w, staleness=None):
        self.rows[rank, step] = self.loop.now, w, staleness
