"""What algorithms should show qualitatively: the settings of the runs, and what is measured.

`tests/validation_claims.py` makes tables of them for docs/claims.md, and `test_claims.py`
holds their directions.
"""

from functools import cache
from math import inf
from statistics import median

import numpy as np

from simulator.experiment.loading import load
from simulator.experiment.run import build, rare_collection, run

FEW, SEEDS = (0, 1, 2), (0, 1, 2, 3, 4)
HEAD, LAYERS = "head-to-head", "two-layers"
FUSED, PER_TENSOR = "network.payload=fused", "network.payload=per-tensor"
NO_LOADING = "storage=none"
FAST = "topology.host_link.bandwidth=100 Gbit/s"
QUIET = "workload.noise=none"
BY_LABEL = "learning.partition={kind: label-shards, shards_per_worker: 1}"
BY_TWO = "learning.partition={kind: label-shards, shards_per_worker: 2}"
# what is learned does not matter for these
TIMES = ("learning.model=softmax", "learning.batch_size=1", "evaluate.every=1000000 samples")


def slow(factor):
    return f"stragglers=[{{kind: slow-workers, workers: [0], factor: {factor}}}]"


def late(count, delay):
    return f"stragglers=[{{kind: random-workers, count: {count}, delay: {delay}}}]"


@cache
def one(scenario, algorithm, settings, seed):
    """Summary of a run, with steps per second: a mean over workers, each over its own steps."""
    wanted = [f"algorithm={algorithm}", f"seed={seed}", "record.messages=false", *settings]
    result = run(load(scenario, wanted))
    steps, links = result.tables["steps"], result.tables["links"]
    workers = result.summary["workers"]
    ends = np.zeros(workers)
    np.maximum.at(ends, steps["worker"], steps["end_s"])
    taken = np.bincount(steps["worker"], minlength=workers)
    ends_of = zip(links["source"], links["target"], strict=True)
    out = [a.startswith("host") and b.startswith("switch") for a, b in ends_of]
    return result.summary | {
        "steps_per_s": float((taken / ends).mean()),
        "uplink_nbytes": float(np.asarray(links["nbytes"])[out].sum()),
        "losses": np.asarray(result.tables["evaluations"]["test_loss"]),
    }


def runs(scenario, algorithm, *settings, seeds=FEW):
    """Summaries over *seeds*."""
    return [one(scenario, algorithm, settings, seed) for seed in seeds]


def every(quantity, found):
    """*quantity* of all summaries; a diverged run has no accuracy and an infinite loss."""
    missing = {"final_accuracy": 0.0, "final_loss": inf, "time_to_target_s": inf}
    values = [summary[quantity] for summary in found]
    return [missing[quantity] if value is None else value for value in values]


def mean(quantity, found):
    values = every(quantity, found)
    return sum(values) / len(values)


def middle(quantity, found):
    return median(every(quantity, found))


# -- 1 and 2: who is how fast with equal workers, and with late ones -------------------------------

EVEN = ("topology.host_link.bandwidth=400 Gbit/s", QUIET)
PEERS = {
    "all-reduce": "{kind: sync-sgd}",
    "local SGD, H = 1": "{kind: local-sgd, period: 1}",
    "WAGMA": "{kind: wagma}",
    "SGP": "{kind: sgp}",
    "OSGP": "{kind: osgp}",
    "D-PSGD on a ring": "{kind: d-psgd}",
    "AD-PSGD": "{kind: ad-psgd}",
    "AD-PSGD on a ring": "{kind: ad-psgd, graph: ring}",
}
LATE = (QUIET, "workload.compute=641 ms", late(1, "460 ms"), "stop.steps=200", *TIMES)
FREE = "topology.host_link={bandwidth: 10 Tbit/s, latency: 1 ns}"
LATE_ONES = {
    "all-reduce": "{kind: sync-sgd}",
    "D-PSGD, mixing after": "{kind: d-psgd, mixing: after}",
    "SGP": "{kind: sgp}",
    "WAGMA": "{kind: wagma}",
    "eager-SGD, majority": "{kind: eager-sgd, quorum: majority}",
    "DC-S3GD": "{kind: dc-s3gd}",
    "SSP, s = 1": "{kind: ssp, slack: 1}",
    "SSP, s = 3": "{kind: ssp}",
    "OSGP": "{kind: osgp}",
    "D-PSGD, overlapped": "{kind: d-psgd}",
    "eager-SGD, solo": "{kind: eager-sgd}",
    "AD-PSGD": "{kind: ad-psgd}",
    "asynchronous server": "{kind: async-ps}",
}

# -- 4 and 5: what is hidden -----------------------------------------------------------------------


@cache
def period(scenario, algorithm, *settings):
    """Seconds between the ends of two steps without noise, the first and the last one aside."""
    wanted = [f"algorithm={algorithm}", QUIET, "stop.steps=8", *TIMES, *settings]
    steps = run(load(scenario, wanted)).tables["steps"]
    first, last = (steps["end_s"][steps["step"] == step].max() for step in (0, 6))
    return float(last - first) / 6


LOADING = {  # how gradients are sent, loading: seconds of compute and loading, settings
    "tensor by tensor, 300 ms": (0.9, (PER_TENSOR,)),
    "tensor by tensor, 100 ms": (0.7, (PER_TENSOR, "storage.latency=100 ms")),
    "tensor by tensor, none": (0.6, (PER_TENSOR, NO_LOADING)),
    "in one piece, 300 ms": (0.9, (FUSED,)),
    "in one piece, none": (0.6, (FUSED, NO_LOADING)),
}
HOSTS = (1, 2, 4, 8, 16, 32)


def layers(kind, hosts, *settings):
    """Seconds of a step of *kind* on so many hosts of four GPUs, linked by 25 Gbit/s."""
    return period(
        LAYERS,
        f"{{kind: {kind}}}",
        f"topology.hosts={hosts}",
        "topology.host_link.bandwidth=25 Gbit/s",
        "network.all_reduce=ring",
        *settings,
    )


def ring(gbit, hosts=16, nbytes=102.2e6, latency=20e-6):
    """Seconds of a ring all-reduce between hosts of one worker."""
    return 2 * (hosts - 1) * (latency + nbytes / hosts * 8 / (gbit * 1e9))


def stale(kind, gbit):
    """Seconds of a step in head-to-head with links of *gbit* Gbit/s."""
    link = f"topology.host_link.bandwidth={gbit} Gbit/s"
    return period(HEAD, f"{{kind: {kind}}}", "network.all_reduce=ring", link)


COMPENSATIONS = (0, 0.05, 0.2, 0.5)
RATES = {"rate 0.2": "learning.optimizer.lr=0.2", "rate 2": "learning.optimizer.lr=2"}
DELAYED = {f"DC-S3GD, {c:g}": f"{{kind: dc-s3gd, compensation: {c}}}" for c in COMPENSATIONS}
DELAYED = {"all-reduce": "{kind: sync-sgd}", **DELAYED, "pipelined": "{kind: pipelined-sgd}"}

# -- 6 and 7: local steps --------------------------------------------------------------------------

PERIODS = (1, 2, 4, 8, 16, 32)


def stall(steps, *settings, seed=0):
    """Seconds per step beside the computation of local SGD on links that cost nothing."""
    algorithm = f"{{kind: local-sgd, period: {steps}}}"
    more = (FREE, "stop.steps=320", *TIMES, *settings)
    summary = one(HEAD, algorithm, more, seed)
    return summary["simulated_time_s"] / summary["steps"] - 0.18


HIERARCHY = {
    "K-AVG, K = 16": "{kind: k-avg, k: 16}",
    "Hier-AVG, K1 = 8, K2 = 16": "{kind: hier-avg, k1: 8, k2: 16}",
    "Hier-AVG, K1 = 4, K2 = 16": "{kind: hier-avg, k1: 4, k2: 16}",
    "Hier-AVG, K1 = 1, K2 = 16": "{kind: hier-avg, k1: 1, k2: 16}",
}


@cache
def apart(algorithm, seed, *settings):
    """Root mean square distance of the replicas from their mean after 63 steps.

    The next step would average all of them.
    """
    wanted = [f"algorithm={algorithm}", f"seed={seed}", "stop.steps=63", NO_LOADING, *settings]
    scenario = load(LAYERS, wanted)
    with rare_collection():
        cluster, _ = build(scenario)
        cluster.run(list(scenario.algorithm.processes(cluster)))
    replicas = np.array([params for params, _ in cluster.evaluated()], np.float64)
    return float(np.sqrt(((replicas - replicas.mean(0)) ** 2).sum(1).mean()))


# -- 8 to 10: servers and hosts that do not wait ---------------------------------------------------

TAUS = (1, 4, 16, 64)
ELASTIC = ("topology.hosts=4", FAST, "learning.optimizer.lr=0.1")
WITH_MOMENTUM = ("learning.optimizer.lr=0.01",)
EXCHANGES = {
    "Downpour": ("{{kind: downpour, push_period: {tau}, rate_scale: 1}}", ()),
    "Downpour, a quarter of the rate": ("{{kind: downpour, push_period: {tau}}}", ()),
    "EASGD": ("{{kind: easgd, period: {tau}}}", ()),
    "EAMSGD, a tenth of the rate": ("{{kind: eamsgd, period: {tau}}}", WITH_MOMENTUM),
    "SASGD": ("{{kind: sasgd, interval: {tau}}}", ()),
    "SASGD, displacements added": ("{{kind: sasgd, interval: {tau}, global_rate: 1}}", ()),
}


def exchanges(name, tau, seeds=SEEDS):
    algorithm, more = EXCHANGES[name]
    return runs(HEAD, algorithm.format(tau=tau), *ELASTIC, *more, seeds=seeds)


ACROSS = {
    "LASGD, H = 8": "{kind: lasgd}",
    "all-reduce": "{kind: sync-sgd}",
    "local SGD, H = 8": "{kind: local-sgd}",
}
NEAR = (NO_LOADING, "workload.compute=180 ms", "workload.noise={kind: lognormal, sigma: 0.1}")


def across(name, gbit, *more):
    """Runs of two-layers without loading, hosts linked by *gbit* Gbit/s."""
    link = f"topology.host_link.bandwidth={gbit} Gbit/s"
    return runs(LAYERS, ACROSS[name], *NEAR, link, *more)


WORKERS = (1, 8, 16, 32)
SAME_SAMPLES = (EVEN[0], "stop={samples: 38400}", "evaluate.every=3840 samples")
NEAR_THE_LIMIT = "learning.optimizer.lr=0.3"
COMPENSATED = {
    "ASGD": "{kind: async-ps}",
    "DC-ASGD, lambda = 0.04": "{kind: dc-asgd}",
    "DC-ASGD, lambda = 0.2": "{kind: dc-asgd, compensation: 0.2}",
    "DC-ASGD, adaptive, 2": "{kind: dc-asgd, variant: adaptive}",
    "DC-ASGD, adaptive, 1": "{kind: dc-asgd, variant: adaptive, compensation: 1}",
}


def asynchronous(name, workers, *more, seeds=SEEDS):
    size = f"topology.hosts={workers}"
    more = (size, *SAME_SAMPLES, *more)
    return runs(HEAD, COMPENSATED.get(name, name), NEAR_THE_LIMIT, *more, seeds=seeds)


# -- 11 and 12: how much slack ---------------------------------------------------------------------

JITTER = ("workload.noise={kind: lognormal, sigma: 0.3}", FAST)
HEAVY = ("workload.noise={kind: lognormal, sigma: 0.6}", FAST)
AT_THE_LIMIT = ("learning.batch_size=4", "learning.optimizer.lr=2", "evaluate.every=320 samples")
SLACKS = {  # what varies: its values, algorithm, settings
    "backup workers b, rate near the limit": (
        (0, 1, 2, 4, 8, 12),
        "{{kind: backup-workers, backup: {}}}",
        (*HEAVY, *AT_THE_LIMIT),
    ),
    "backup workers b, moderate rate": (
        (0, 1, 2, 4, 8, 12),
        "{{kind: backup-workers, backup: {}}}",
        HEAVY,
    ),
    "slack s of SSP": ((0, 1, 3, 10, 30), "{{kind: ssp, slack: {}}}", JITTER),
    "period H of local SGD, labels apart": (
        (1, 2, 4, 8, 16, 32),
        "{{kind: local-sgd, period: {}}}",
        (BY_TWO,),
    ),
    "period H of local SGD, equal shards": (
        (1, 2, 4, 8, 16, 32),
        "{{kind: local-sgd, period: {}}}",
        (),
    ),
}


def slack(name, value, seeds=SEEDS):
    _, algorithm, settings = SLACKS[name]
    return runs(HEAD, algorithm.format(value), *settings, seeds=seeds)


PERSISTENT = {
    "all-reduce": "{kind: sync-sgd}",
    "SSP, s = 3": "{kind: ssp}",
    "SSP, s = 30": "{kind: ssp, slack: 30}",
    "DC-S3GD": "{kind: dc-s3gd}",
    "local SGD, H = 16": "{kind: local-sgd, period: 16}",
    "backup workers, b = 1": "{kind: backup-workers, backup: 1}",
    "AD-PSGD": "{kind: ad-psgd}",
}


def persistent(name, factor):
    return runs(HEAD, PERSISTENT[name], FAST, *TIMES, slow(factor), "stop.steps=200")


SKEWED = ("topology.hosts=8", FAST, "workload.compute=100 ms", QUIET)
SKEWS = {
    "none": "stragglers=[]",
    "light: one late by 50 ms": late(1, "50 ms"),
    "one late by 300 ms": late(1, "300 ms"),
    "all late by 50 ms and more": late(
        8, "{kind: shifted-exponential, least: 50 ms, mean: 175 ms}"
    ),
}
QUORUMS = {
    "all-reduce": "{kind: sync-sgd}",
    "majority": "{kind: eager-sgd, quorum: majority}",
    "solo": "{kind: eager-sgd}",
    "solo, all results": "{kind: eager-sgd, results: all}",
}


def skewed(quorum, skew, seeds=SEEDS):
    return runs(HEAD, QUORUMS[quorum], *SKEWED, SKEWS[skew], seeds=seeds)


# -- 14 and 15: what is remembered, and what it costs ----------------------------------------------

SPARSE = {
    "dense": "{kind: sync-sgd}",
    "Top-k": "{kind: topk-sgd}",
    "Top-k without error feedback": "{kind: topk-sgd, error_feedback: false}",
    "gTop-k": "{kind: gtopk-sgd}",
    "gs-SGD, two rounds": "{kind: gs-sgd}",
    "gs-SGD, two rounds, larger sketch": "{kind: gs-sgd, size: 1}",
    "gs-SGD, one round and reset": "{kind: gs-sgd, second_round: reset}",
}


def sparse(name, seeds=SEEDS):
    """1 % of the coordinates."""
    return runs(HEAD, SPARSE[name], seeds=seeds)
