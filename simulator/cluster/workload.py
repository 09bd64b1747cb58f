"""The workload: what the full-size job costs, apart from the small model that learns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from annotated_types import Ge, Le

from simulator.cluster.randomtimes import NOISES, NoNoise, Random
from simulator.units import Bytes, Seconds


@dataclass(frozen=True)
class Workload:
    """Costs of one step of one worker.

    The defaults are ResNet-50 on ImageNet: 25,557,032 parameters of 4 bytes in 161 tensors
    (torchvision's model), 64 images at about 360 images/s on a V100 in fp32, JPEGs of 110 kB on
    average (ILSVRC-2012: 138 GB for 1.28 million images).

    Attributes
    ----------
    gradient
        Bytes of a dense gradient, and of the model.
    tensors
        How many tensors of equal size the gradient consists of; it matters where they are
        sent one by one.
    batch_size
        Samples per worker and step of the full-size job.
    compute
        Forward and backward pass of one such batch, s.
    sample
        Bytes of one sample in storage.
    noise
        Factor of mean 1 on `compute`, drawn per worker and step.
    """

    gradient: Bytes = 102_228_128.0
    tensors: Annotated[int, Ge(1), Le(100_000)] = 161
    batch_size: Annotated[int, Ge(1)] = 64
    compute: Seconds = 0.18
    sample: Bytes = 110_000.0
    noise: Annotated[Random, NOISES] = field(default_factory=NoNoise)
