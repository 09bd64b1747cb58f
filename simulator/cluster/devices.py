"""Devices: their peak speed, and what share of it training reaches, from published figures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from simulator.cluster.presets import Architecture, architecture
from simulator.errors import InvalidInput

Precision = Literal["auto", "fp32", "tf32", "amp"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "tf32", "amp")  # the plainest first
BACKWARD = 2.0  # FLOP of the backward pass for one of the forward pass


class Figure(NamedTuple):
    """A published throughput of training on one device.

    `samples_per_s` is in samples of the preset.
    """

    network: str
    precision: Precision
    batch_size: int | None
    samples_per_s: float
    source: str


@dataclass(frozen=True)
class Device:
    """A GPU.

    Attributes
    ----------
    title
        As its maker calls it.
    peaks
        FLOP/s without sparsity, by precision; of mixed precision (`amp`) that of the
        tensor cores with sums in fp32.
    source
        Of the peaks.
    figures
        Measured throughputs; the first of a family stands for the whole family.
    """

    title: str
    peaks: dict[Precision, float]
    source: str
    figures: tuple[Figure, ...] = ()


TF = "tensorflow.org/performance/benchmarks, May 2017, synthetic data"
MX = "NVIDIA/DeepLearningExamples@134510b4 MxNet/Classification/RN50v1.5/README.md"
BERT = "NVIDIA/DeepLearningExamples TensorFlow/LanguageModeling/BERT/README.md, 20.06"
LAMBDA = "lambdal/deeplearning-benchmark@0551cb70 pytorch/pytorch-train-throughput-fp{32,16}.csv"
LAMBDA_OLD = "lambdal/deeplearning-benchmark@000bc82d pytorch-train-throughput-fp{32,16}.csv"
ADAPTDL = "petuum/adaptdl@de25dcc9 simulator/traces"
KUN = "u39kun/deep-learning-benchmark@02ef7436 README.md, forward and backward pass only"
MLPERF = "mlcommons/training_results_v4.0@62f111b7 NVIDIA/results, 8 GPUs, divided by 8"
# Figures of BERT on SQuAD are for 384 tokens: as many as three samples of 128.
SQUAD = 3

DEVICES: dict[str, Device] = {
    "k80": Device(
        "NVIDIA K80, one of its two dies",
        {"fp32": 4.37e12},
        "anandtech.com/show/8729: 8.74 TFLOP/s of both dies with boost",
        (
            Figure("resnet50", "fp32", 64, 51.9, TF),
            Figure("inception-v3", "fp32", 64, 30.5, TF),
            Figure("resnet152", "fp32", 32, 20.0, TF),
            Figure("alexnet", "fp32", 512, 656, TF),
            Figure("vgg16", "fp32", 32, 35.4, TF),
        ),
    ),
    "p100": Device(
        "NVIDIA P100 SXM2",
        {"fp32": 10.6e12},
        "NVIDIA Tesla P100 data sheet",
        (
            Figure("resnet50", "fp32", 64, 219, TF),
            Figure("inception-v3", "fp32", 64, 142, TF),
            Figure("resnet152", "fp32", 64, 91.8, TF),
            Figure("alexnet", "fp32", 512, 2987, TF),
            Figure("vgg16", "fp32", 64, 154, TF),
        ),
    ),
    "v100": Device(
        "NVIDIA V100 SXM2",
        {"fp32": 15.7e12, "amp": 125e12},
        "NVIDIA A100 white paper, table of V100 and A100",
        (
            Figure("resnet50", "fp32", 96, 384, MX),
            Figure("vgg16", "fp32", 16, 192, KUN),
            Figure("resnet152", "fp32", 16, 117, KUN),
            Figure("resnet50", "amp", 192, 1376, MX),
            Figure("bert-large", "fp32", 32, 46.78, BERT),
            Figure("bert-large", "amp", 64, 168.63, BERT),
        ),
    ),
    "t4": Device(
        "NVIDIA T4",
        {"fp32": 8.1e12, "amp": 65e12},
        "NVIDIA T4 data sheet",
        (
            Figure("resnet50", "amp", 200, 216.6, ADAPTDL),
            Figure("bert-base", "fp32", 12, SQUAD * 13.0, ADAPTDL),
        ),
    ),
    "rtx-2080-ti": Device(
        "NVIDIA GeForce RTX 2080 Ti",
        {"fp32": 13.4e12, "amp": 53.8e12},
        "NVIDIA Turing white paper, reference card, sums in fp32",
        (
            Figure("resnet50", "fp32", 100, 275, LAMBDA_OLD),
            Figure("vgg16", "fp32", 16, 168, KUN),
            Figure("resnet152", "fp32", 16, 112, KUN),
            Figure("resnet50", "amp", 184, 526, LAMBDA_OLD),
            Figure("bert-base", "fp32", 10, SQUAD * 30, LAMBDA_OLD),
            Figure("bert-base", "amp", 20, SQUAD * 88, LAMBDA_OLD),
        ),
    ),
    "a100": Device(
        "NVIDIA A100 SXM",
        {"fp32": 19.5e12, "tf32": 156e12, "amp": 312e12},
        "NVIDIA A100 white paper",
        (
            Figure("resnet50", "tf32", 256, 1022, MX),
            Figure("resnet50", "amp", 256, 2180, MX),
            Figure("bert-large", "tf32", 64, 238.1, BERT),
            Figure("bert-large", "amp", 64, 356.85, BERT),
        ),
    ),
    "h100": Device(
        "NVIDIA H100 SXM5",
        {"fp32": 66.9e12, "tf32": 494.7e12, "amp": 989.4e12},
        "NVIDIA H100 white paper",
        (
            Figure("resnet50", "tf32", None, 1753, LAMBDA),
            Figure("resnet50", "amp", None, 2616, LAMBDA),
            Figure("bert-large", "tf32", None, SQUAD * 141, LAMBDA),
            Figure("bert-large", "amp", None, SQUAD * 301, LAMBDA),
        ),
    ),
    "h200": Device(
        "NVIDIA H200 SXM",
        {"fp32": 66.9e12, "tf32": 494.7e12, "amp": 989e12},
        "NVIDIA H200 data sheet",
        (Figure("resnet50", "amp", None, 63_587 / 8, MLPERF),),
    ),
}


def training_flop(network: Architecture) -> float:
    """FLOP of one sample's forward and backward pass."""
    return (1 + BACKWARD) * network.forward


def sustained_speed(
    network: Architecture, device: str, precision: Precision, sustained: float | None = None
) -> float:
    """FLOP/s that training *network* reaches on *device*.

    Parameters
    ----------
    network
        What is trained.
    device
        A name of `DEVICES`.
    precision
        ``auto`` for the plainest one that there is a figure for.
    sustained
        Share of the peak; None for that of the published figure.

    Raises
    ------
    InvalidInput
        If there is no figure for this network or one of its family.
    """
    made = DEVICES[device]
    if sustained is not None:
        return made.peaks[plainest(made, precision)] * sustained
    figure = figure_for(network, device, precision)
    return figure.samples_per_s * training_flop(architecture(figure.network))


def plainest(device: Device, precision: Precision) -> Precision:
    """*precision*, or for ``auto`` the plainest that *device* has.

    Raises
    ------
    InvalidInput
        If *device* has no such mode.
    """
    wanted = next(iter(device.peaks)) if precision == "auto" else precision
    if wanted not in device.peaks:
        raise InvalidInput(f"{device.title} has no {precision}; it has {', '.join(device.peaks)}")
    return wanted


def figure_for(network: Architecture, device: str, precision: Precision) -> Figure:
    """The published figure that says how fast *network* is on *device*.

    Raises
    ------
    InvalidInput
        If there is none; says which there are.
    """
    for mode in PRECISIONS if precision == "auto" else (precision,):
        usable = [one for one in DEVICES[device].figures if one.precision == mode]
        for exact in (True, False):
            for one in usable:
                if one.network == network.name or (
                    not exact and architecture(one.network).family == network.family
                ):
                    return one
    known = ", ".join(_known(network.family)) or "none on any device"
    kind = "" if precision == "auto" else f" in {precision}"
    raise InvalidInput(
        f"there is no figure for {network.name} on {device}{kind}; {network.family} networks have "
        f"{known}; or give workload.compute a time, or its share of the peak as `sustained`"
    )


def _known(family: str) -> Iterator[str]:
    """Devices and precisions with a figure for networks of *family*."""
    for name, device in DEVICES.items():
        modes = [
            one.precision for one in device.figures if architecture(one.network).family == family
        ]
        if modes:
            yield f"{name} ({', '.join(dict.fromkeys(modes))})"
