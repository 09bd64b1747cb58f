"""Scenarios in which messages cost latency only, and what will be drawn in them."""

import numpy as np

from simulator.cluster import Worker
from simulator.cluster.noise import LognormalNoise
from simulator.engine import Streams
from simulator.learning import minibatches
from tests.make import merged, played, simulate

SEED, COMPUTE, SIGMA, SLOW = 3, 0.1, 0.4, 2.5
LATE, DELAY = 2, 0.07  # so many are late in every step, by so many seconds
HOP = 0.01  # latency of a link; a message crosses two
T_M = 2 * HOP  # a message of one byte takes no time beside
RATE, MOMENTUM, DECAY = 0.05, 0.9, 0.01


def setting(n, algorithm, steps, *, hop=HOP, fidelity="alpha-beta", **changes):
    """*n* workers on a star, of which worker 1 is slow, with links for which a byte is nothing."""
    base = {
        "seed": SEED,
        "topology": {
            "kind": "star",
            "hosts": n,
            "gpus_per_host": 0,
            "host_link": {"bandwidth": 1e18, "latency": hop},
        },
        "network": {"fidelity": fidelity, "all_reduce": "ring"},
        "workload": {
            "gradient": 1,
            "compute": COMPUTE,
            "noise": {"kind": "lognormal", "sigma": SIGMA},
        },
        "stragglers": [
            {"kind": "slow-workers", "workers": [1 % n], "factor": SLOW},
            {"kind": "random-workers", "count": min(LATE, n), "delay": DELAY},
        ],
        "learning": {
            "dtype": "float64",
            "optimizer": {"lr": RATE, "momentum": MOMENTUM, "weight_decay": DECAY},
        },
        "algorithm": algorithm,
        "stop": {"steps": steps},
    }
    return merged(base, changes)


def run(n, algorithm, steps, **changes):
    """The cluster after its run in such a scenario."""
    return played(**setting(n, algorithm, steps, **changes))


def compute_times(n, steps=64):
    """c[i, t] of that scenario, drawn here."""
    noise = LognormalNoise(sigma=SIGMA)
    c = np.array([COMPUTE * noise.draw(Streams(SEED).get("noise", i), steps) for i in range(n)])
    c[1 % n] *= SLOW
    late = Streams(SEED).get("straggler", 1, 0)
    for t in range(steps):
        c[late.permutation(n)[: min(LATE, n)], t] += DELAY
    return c


def ring(n, hop=HOP):
    """A ring all-reduce of next to nothing."""
    return 2 * (n - 1) * 2 * hop


def end_times(cluster, n, steps):
    """L[i, t] as recorded; NaN where a worker has not come that far."""
    table = cluster.trace.steps.columns()
    found = np.full((n, steps), np.nan)
    for worker, step, end in zip(table["worker"], table["step"], table["end_s"], strict=True):
        if step < steps:
            found[worker, step] = end
    return found


def messages(cluster):
    """(source, target, kind, begin, end) of every message; groups have no target."""
    from simulator.network.fabric import MESSAGE_KINDS

    table = cluster.trace.messages.columns()
    columns = (table[name] for name in ("carrier", "kind", "start_s", "end_s"))
    for carrier, kind, begin, end in zip(*columns, strict=True):
        who = cluster.network.carriers[carrier]
        yield who.source, who.target, MESSAGE_KINDS[kind], begin, end


def host(name):
    return int(name.removeprefix("host"))


class Learner:
    """Gradients on the batches that the workers will draw, and SGD with momentum per worker."""

    def __init__(self, cluster, steps, momentum=MOMENTUM, decay=DECAY, size=8):
        self.job, self.n = cluster.job, len(cluster.workers)
        self.momentum, self.decay = momentum, decay
        self.samples = [
            [next(drawn)[0] for _ in range(steps)]
            for drawn in (
                minibatches(shard, size, Streams(SEED).get("data", rank))
                for rank, shard in enumerate(cluster.shards)
            )
        ]
        self.velocity = np.zeros((self.n, self.job.model.size))

    def gradient(self, rank, step, w):
        """Of one worker's batch at *w*."""
        rows, data = self.samples[rank][step], self.job.data
        return self.job.model.gradients(w[None], data.x[rows][None], data.y[rows][None])[1][0]

    def change(self, rank, grad, w):
        """What SGD adds to *w*."""
        v = self.momentum * self.velocity[rank] + grad + self.decay * w
        self.velocity[rank] = v
        return -RATE * v

    def step(self, rank, step, w):
        return self.change(rank, self.gradient(rank, step, w), w)


def recorded(monkeypatch):
    """Parameters and weight of every step that will be finished: {(rank, step): (w, weight)}."""
    kept, original = {}, Worker.finish_step

    def finish_step(self, step, params, loss, staleness=None, weight=1.0):
        kept[self.rank, step] = np.array(params), weight
        original(self, step, params, loss, staleness, weight)

    monkeypatch.setattr(Worker, "finish_step", finish_step)
    return kept


def read(monkeypatch):
    """Where every gradient will be taken: {(rank, nth): w}."""
    kept, original, counts = {}, Worker.compute_gradient, {}

    def compute_gradient(self, params, batch):
        nth = counts[self.rank] = counts.get(self.rank, -1) + 1
        kept[self.rank, nth] = np.array(params)
        return original(self, params, batch)

    monkeypatch.setattr(Worker, "compute_gradient", compute_gradient)
    return kept


def apart(monkeypatch, where):
    """Let worker i start at ``where(i, w0)``; w0 is what all would have started from."""
    original = Worker.start

    def start(self):
        params, state = original(self)
        return where(self.rank, params), state

    monkeypatch.setattr(Worker, "start", start)


NO_LEARNING = {"learning": {"optimizer": {"lr": 1e-300, "momentum": 0.0, "weight_decay": 0.0}}}
PLAIN = {"learning": {"optimizer": {"momentum": 0.0, "weight_decay": 0.0}}}


def spread(rank, w0):
    """A start of its own for every rank."""
    return np.random.default_rng(100 + rank).normal(size=w0.shape)


def tables(*arguments, **changes):
    """Result of a run in such a scenario."""
    return simulate(**setting(*arguments, **changes))
