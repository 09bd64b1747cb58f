"""Three papers' comparisons of algorithms: what was published, and the settings of the runs.

`tests/validation_algorithms.py` makes tables of them for docs/validation.md.
"""

from functools import cache

import numpy as np

from simulator.experiment.loading import load
from simulator.experiment.run import run


@cache
def milliseconds(name, *settings):
    """Time of a step of scenario *name*, ms: mean over the workers, each over its own steps.

    What comes after the last step, such as a last average, counts too.
    """
    result = run(load(name, settings))
    steps, n = result.tables["steps"], result.summary["workers"]
    ends = np.zeros(n)
    np.maximum.at(ends, steps["worker"], steps["end_s"])
    ends += result.summary["simulated_time_s"] - ends.max()
    return float(1000 * (ends / np.bincount(steps["worker"], minlength=n)).mean())


# Li et al. (WAGMA), TPDS 2021, sections 5.2 and Figs. 4 and 5: minutes of 90 epochs, and steps/s
# and WAGMA's speed-ups with 128 samples each.  Figure labels 311 and 324 belong to D-PSGD and
# eager-SGD; which to which is not said.
WAGMA_STEPS = 28_150  # 90 epochs of 1.28 million samples in batches of 4,096
EITHER = (311 + 324) / 2
WAGMA = {  # algorithm: settings, minutes, steps/s without delay, WAGMA's speed-up over it
    "all-reduce": ("{kind: sync-sgd}", 377, None, 1.26),
    "local SGD, period 1": ("{kind: local-sgd, period: 1}", 357, 1.52, 1.25),
    "SGP, 2 peers": ("{kind: sgp, peers: 2}", 334, 1.51, 1.25),
    "D-PSGD, mixing after": ("{kind: d-psgd, mixing: after}", EITHER, 1.57, 1.23),
    "D-PSGD, overlapped": ("{kind: d-psgd}", EITHER, 1.57, 1.23),
    "eager-SGD, majority": (
        "{kind: eager-sgd, quorum: majority, average_every: null}",
        EITHER,
        None,
        1.13,
    ),
    "eager-SGD, solo": ("{kind: eager-sgd, average_every: null}", EITHER, None, 1.13),
    "WAGMA, groups of 8": ("{kind: wagma, group_size: 8, period: 10}", 231, 1.55, None),
    "AD-PSGD": ("{kind: ad-psgd}", 165, 1.61, None),
}
LARGE = ("workload.batch_size=128", "workload.compute=621 ms")
LARGE += ("topology.host_link.bandwidth=43.6 Gbit/s",)


def wagma(algorithm, *more):
    """Time of a step in the scenario of that paper, ms."""
    return milliseconds("wagma-resnet50", f"algorithm={WAGMA[algorithm][0]}", *more)


def wagma_published(algorithm):
    """Minutes of 90 epochs as ms of a step."""
    return WAGMA[algorithm][1] * 60_000 / WAGMA_STEPS


def wagma_large(algorithm, delay):
    """The same with 128 samples each, with or without *delay*."""
    return wagma(algorithm, *LARGE, *(() if delay else ("stragglers=[]",)))


# Wang et al. (SlowMo), arXiv:1910.00643, Table 2a and section 4: ms per iteration.
SLOWMO = {  # base: settings, period of SlowMo, original, with SlowMo, with double averaging
    "AR-SGD": ("{kind: sync-sgd}", None, 420, None, None),
    "SGP": ("{kind: sgp}", 48, 304, 302, 402),
    "local SGD, period 12": ("{kind: local-sgd, period: 12}", 12, 294, 282, 405),
    "OSGP": ("{kind: osgp}", 48, 271, 271, None),
}


def slowmo(base, momentum=None, buffers="reset"):
    """Time of an iteration, ms, of *base* or with slow *momentum* on top of it."""
    algorithm, period = SLOWMO[base][:2]
    if momentum is not None:
        algorithm = (
            f"{{kind: slowmo, period: {period}, slow_momentum: {momentum}, buffers: {buffers}, "
            f"base: {algorithm}}}"
        )
    return milliseconds("slowmo-imagenet", f"algorithm={algorithm}")


# Shi et al. (gTop-k), ICDCS 2019: images/s of a GPU at 4, 8, 16 and 32 GPUs, from
# scripts/icdcs2019/communication.py of github.com/hclhkbu/gtopkssgd, commit 6f57343.
GPUS = (4, 8, 16, 32)
DENSE, TOPK, GTOPK = "sync-sgd", "topk-sgd", "gtopk-sgd"
THROUGHPUT = {
    DENSE: {
        "VGG-16": (104.200, 92.560, 39.480, 12.600),
        "ResNet-20": (821.700, 705.200, 520.400, 287.900),
        "AlexNet": (14.010, 12.118, 4.936, 1.234),
        "ResNet-50": (39.002, 36.989, 23.176, 10.721),
        "LSTM-PTB": (12.657, 8.7, 4.1, 2.1),
    },
    TOPK: {
        "VGG-16": (110.576, 109.900, 97.865, 63.002),
        "ResNet-20": (908.837, 752.985, 737.594, 696.029),
        "AlexNet": (14.238, 13.865, 13.352, 9.236),
        "ResNet-50": (37.729, 35.703, 34.495, 30.583),
        "LSTM-PTB": (19.9, 18.6, 14.8, 5.4),
    },
    GTOPK: {
        "VGG-16": (131.060, 130.551, 126.434, 123.200),
        "ResNet-20": (916.260, 868.730, 808.500, 789.300),
        "AlexNet": (16.536, 16.446, 16.359, 15.777),
        "ResNet-50": (39.795, 39.713, 39.060, 39.119),
        "LSTM-PTB": (17.8, 17.6, 15.1, 10.8),
    },
}
# Million parameters, samples of a GPU and step, samples/s of one GPU alone; the samples of
# LSTM-PTB are not published and fitted to gTop-k at 4 GPUs.
MODELS = {
    "VGG-16": (14.7, 128, 1317.333),
    "ResNet-20": (0.27, 128, 920.632),
    "AlexNet": (61.1, 64, 173.469),
    "ResNet-50": (25.6, 256, 52.873),
    "LSTM-PTB": (66.03, 75, 392.0),
}
# ns per parameter: 6.1 to select, and 55 that "communicate" of the same script, at 32 GPUs, has
# beside ten hops: 54.2 for VGG-16, 54.2 for AlexNet, 54.7 for ResNet-50, 74.6 for ResNet-20.
HOST_COST = 61.0
LATENCY, PER_BYTE = 0.436, 9e-6  # ms; the scenario's


def seconds_published(model, method, gpus):
    """Of a step."""
    return MODELS[model][1] / THROUGHPUT[method][model][GPUS.index(gpus)]


def compute_seconds(model):
    """Of a step on one GPU alone."""
    _, samples, rate = MODELS[model]
    return samples / rate


def ethernet(model, method, gpus, cost=HOST_COST, slower=1.0):
    """Simulated seconds of a step; *cost* in ns per parameter, the network *slower* per byte."""
    million, samples, _ = MODELS[model]
    algorithm = f"{{kind: {method}}}"
    if method != DENSE:
        algorithm = (
            f"{{kind: {method}, density: 0.001, wire_ratio: 0.002, select_cost: {cost:.4f} ns}}"
        )
    settings = (
        f"algorithm={algorithm}",
        f"topology.hosts={gpus}",
        f"topology.host_link.bandwidth={8e-3 / PER_BYTE / slower:.4f} Mbit/s",
        f"workload.gradient={4 * million} MB",
        f"workload.batch_size={samples}",
        f"workload.compute={1000 * compute_seconds(model):.4f} ms",
        "stop.steps=2",
    )
    return milliseconds("gtopk-1gbe", *settings) / 1000


def needed_slowdown(model, gpus):
    """How often a byte of the dense ring would have to take what it takes, to be as published."""
    beside = compute_seconds(model) + 2 * (gpus - 1) * LATENCY / 1000
    nbytes = 4e6 * MODELS[model][0] * 2 * (gpus - 1) / gpus
    return (seconds_published(model, DENSE, gpus) - beside) / (nbytes * PER_BYTE / 1000)


def needed_cost(model, gpus):
    """What Top-k would have to cost on the host, ns per parameter, to be as published."""
    missing = seconds_published(model, TOPK, gpus) - ethernet(model, TOPK, gpus)
    return HOST_COST + missing / (MODELS[model][0] * 1e6) * 1e9


def simulated(method, model, gpus, fitted=False):
    """Samples/s of a GPU; *fitted* with what VGG-16 needs at as many GPUs."""
    more = {}
    if fitted and method == DENSE:
        more = {"slower": needed_slowdown("VGG-16", gpus)}
    elif fitted:
        more = {"cost": needed_cost("VGG-16", gpus)}
    return MODELS[model][1] / ethernet(model, method, gpus, **more)
