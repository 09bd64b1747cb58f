"""The textbook form of two algorithms, as a reference for speed.

One SimPy process, one Store and one numpy gradient per worker, every replica with
parameters of its own: how one would write it without thinking about speed.
"""

from itertools import pairwise

import numpy as np
import simpy

WIDTHS = (64, 64, 10)
BATCH, RATE = 32, 0.05


def gradient(params, x, y):
    """Loss and gradient of an MLP 64-64-10 on one batch."""
    (w1, b1), (w2, b2) = params
    hidden = np.maximum(x @ w1 + b1, 0)
    logits = hidden @ w2 + b2
    logits = logits - logits.max(1, keepdims=True)
    q = np.exp(logits)
    q /= q.sum(1, keepdims=True)
    rows = np.arange(len(y))
    loss = -np.log(q[rows, y] + 1e-30).mean()
    q[rows, y] -= 1
    q /= len(y)
    back = (q @ w2.T) * (hidden > 0)
    return loss, [(x.T @ back, back.sum(0)), (hidden.T @ q, q.sum(0))]


def start(rng):
    return [
        (rng.normal(0, (2 / i) ** 0.5, (i, o)).astype(np.float32), np.zeros(o, np.float32))
        for i, o in pairwise(WIDTHS)
    ]


def step(params, grads, rate):
    return [(w - rate * dw, b - rate * db) for (w, b), (dw, db) in zip(params, grads, strict=True)]


def average(parts):
    return [
        tuple(sum(part[layer][k] for part in parts) / len(parts) for k in (0, 1))
        for layer in range(len(parts[0]))
    ]


def sync(data, workers, steps, rate=RATE, transfer=0.01):
    """All-reduce SGD: a process per worker sends its gradient to an averager's store."""
    env, inbox = simpy.Environment(), simpy.Store
    gathered, boxes = inbox(env), [inbox(env) for _ in range(workers)]
    losses = []

    def worker(rank):
        rng, params = np.random.default_rng(rank), start(np.random.default_rng(0))
        for _ in range(steps):
            batch = rng.integers(len(data.x), size=BATCH)
            yield env.timeout(0.1 * rng.lognormal(0, 0.3))
            loss, grads = gradient(params, data.x[batch], data.y[batch])
            yield gathered.put(grads)
            mean = yield boxes[rank].get()
            params = step(params, mean, rate)
            losses.append((rank, env.now, loss))

    def averager():
        for _ in range(steps):
            parts = []
            while len(parts) < workers:
                part = yield gathered.get()
                parts.append(part)
            mean = average(parts)
            yield env.timeout(transfer)
            for box in boxes:
                yield box.put(mean)

    for rank in range(workers):
        env.process(worker(rank))
    env.process(averager())
    env.run()
    return losses


def async_ps(data, workers, steps, rate=RATE, transfer=1e-6):
    """Parameter server: a process per worker, a store for requests, one for each reply."""
    env = simpy.Environment()
    requests, boxes = simpy.Store(env), [simpy.Store(env) for _ in range(workers)]
    nic = simpy.Resource(env)
    losses = []

    def worker(rank):
        rng, params = np.random.default_rng(rank), start(np.random.default_rng(0))
        for _ in range(steps):
            batch = rng.integers(len(data.x), size=BATCH)
            yield env.timeout(0.1 * rng.lognormal(0, 0.3))
            loss, grads = gradient(params, data.x[batch], data.y[batch])
            with nic.request() as request:
                yield request
                yield env.timeout(transfer)
            yield requests.put((rank, grads))
            params = yield boxes[rank].get()
            losses.append((rank, env.now, loss))

    def server():
        params = start(np.random.default_rng(0))
        for _ in range(workers * steps):
            rank, grads = yield requests.get()
            params = step(params, grads, rate)
            yield boxes[rank].put([(w.copy(), b.copy()) for w, b in params])

    for rank in range(workers):
        env.process(worker(rank))
    env.process(server())
    env.run()
    return losses
