"""The workload: what the full-size job costs, apart from the small model that learns."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, NamedTuple

import numpy as np
from annotated_types import Ge, Le

from simulator.cluster.computetime import COMPUTES, ComputeTime, OfDevice
from simulator.cluster.devices import DEVICES, Precision
from simulator.cluster.noise import NOISES, Noise, NoNoise
from simulator.cluster.presets import PRESETS, Architecture, Layer, architecture
from simulator.columns import cell, read_rows
from simulator.errors import InvalidInput
from simulator.registry import Name
from simulator.units import Bytes

BYTES_PER_PARAMETER = 4
IMAGE_NBYTES = 602_112.0


class Part(NamedTuple):
    """A layer's share of a step: its gradient, B, and its part of forward and backward pass."""

    nbytes: float
    forward: float
    backward: float


@dataclass(frozen=True)
class LayerFile:
    """A network of one's own: a CSV file with columns name, forward_s, backward_s, nbytes.

    One row per layer in the order of the forward pass; times of a batch of `batch_size`
    samples.
    """

    path: str
    batch_size: Annotated[int, Ge(1)] = 32

    def check_file(self) -> None:
        """Refuse a file that cannot be read."""
        assert self.rows

    @cached_property
    def rows(self) -> list[Part]:
        """Layers with their times in seconds.

        Raises
        ------
        DataError
            If the file cannot be read.
        """
        columns = ("nbytes", "forward_s", "backward_s")
        return [
            Part(*(cell(self.path, row, column, float) for column in columns))
            for row in read_rows(self.path, ["name", *columns])
        ]


@dataclass(frozen=True)
class Workload:
    """Costs of one step of one worker of the full-size job.

    `preset` is a known network (``paceline list presets``) and `device` what it runs on
    (``paceline list devices``); `layers` is a network of one's own instead.  `gradient`,
    `tensors`, `sample` and `samples` are the network's unless they are given.

    Attributes
    ----------
    batch_size
        Samples per worker and step.
    compute
        Forward and backward pass; a mere time is that of one batch.
    backward
        The backward pass's share of that.
    gradient
        Bytes of a dense gradient, and of the model.
    tensors
        How many tensors the gradient consists of; it matters where they are sent one by one.
    sample
        Bytes of one sample in storage.
    samples
        Samples of the whole data set; an epoch of the full-size job.
    noise
        Factor of mean 1 on the compute time, drawn per worker and step.
    """

    preset: Annotated[str, Name(PRESETS, "preset")] = "resnet50"
    device: Annotated[str, Name(DEVICES, "device")] = "v100"
    precision: Precision = "auto"
    layers: LayerFile | None = None
    batch_size: Annotated[int, Ge(1)] = 64
    compute: Annotated[ComputeTime, COMPUTES] = field(default_factory=OfDevice)
    backward: Annotated[float, Ge(0), Le(1)] = 2 / 3
    gradient: Bytes | None = None
    tensors: Annotated[int, Ge(1), Le(100_000)] | None = None
    sample: Bytes | None = None
    samples: Annotated[int, Ge(1)] | None = None
    noise: Annotated[Noise, NOISES] = field(default_factory=NoNoise)

    def network(self) -> Architecture:
        """The known network."""
        return architecture(self.preset)

    def seconds(self, device: str, batch: float) -> float:
        """Forward and backward pass of *batch* samples on *device*, s.

        Raises
        ------
        InvalidInput
            If there is no figure for this network on this device, or a file is wrong.
        """
        if self.layers is not None and isinstance(self.compute, OfDevice):
            once = sum(part.forward + part.backward for part in self.layers.rows)
            return self.compute.fixed + once * batch / self.layers.batch_size
        return self.compute.seconds(self, device, batch)

    @property
    def nbytes(self) -> float:
        """Bytes of a dense gradient."""
        if self.gradient is not None:
            return self.gradient
        if self.layers is not None:
            return sum(part.nbytes for part in self.layers.rows)
        return float(BYTES_PER_PARAMETER * self.network().parameters)

    @property
    def tensor_count(self) -> int:
        """Tensors of the gradient."""
        if self.tensors is not None:
            return self.tensors
        if self.layers is not None:
            return max(1, sum(part.nbytes > 0 for part in self.layers.rows))
        return self.network().tensors

    @property
    def sample_nbytes(self) -> float:
        """Bytes of a sample in storage."""
        return self.network().sample if self.sample is None else self.sample

    @property
    def tensor_nbytes(self) -> float:
        """Bytes of a decoded sample: an image of 3 x 224 x 224 floats, else as in storage."""
        if self.network().family == "convolutional":
            return IMAGE_NBYTES
        return self.sample_nbytes

    @property
    def dataset_samples(self) -> int:
        """Samples of the whole data set."""
        return self.network().samples if self.samples is None else self.samples

    def tensor_shapes(self) -> list[tuple[int, ...]] | None:
        """Shapes of the gradient's tensors; None if it is not that of a known network."""
        if self.layers is not None or self.gradient is not None or self.tensors is not None:
            return None
        return [shape for layer in self.network().layers for shape in layer.tensors]

    def tensor_nbytes_each(self) -> list[float]:
        """Bytes of every tensor of the gradient, in the order of the forward pass."""
        shapes = self.tensor_shapes()
        if shapes is None:
            return [part.nbytes for part in self.parts()]
        return [BYTES_PER_PARAMETER * float(math.prod(shape)) for shape in shapes]

    def parts(self) -> list[Part]:
        """Layers in the order of the forward pass, with shares of the compute time.

        The bytes add up to `nbytes`, the shares to 1.  Where the gradient is given by hand
        it consists of equal tensors.
        """
        if self.layers is not None:
            parts = self.layers.rows
        elif self.gradient is not None or self.tensors is not None:
            count = self.tensor_count
            equal = Part(self.nbytes / count, 1 - self.backward, self.backward)
            parts = [equal] * count
        else:
            parts = [of_layer(layer, self.backward) for layer in self.network().layers]
        nbytes = sum(part.nbytes for part in parts) or 1.0
        time = sum(part.forward + part.backward for part in parts) or 1.0
        return [
            Part(part.nbytes * self.nbytes / nbytes, part.forward / time, part.backward / time)
            for part in parts
        ]


def of_layer(layer: Layer, backward: float) -> Part:
    """A layer whose time is in proportion to its FLOP."""
    nbytes = float(BYTES_PER_PARAMETER * layer.parameters)
    return Part(nbytes, layer.forward * (1 - backward), layer.forward * backward)


class Buckets(NamedTuple):
    """A gradient in pieces, in the order in which the backward pass fills them.

    Attributes
    ----------
    nbytes
        Of every piece of the full-size job's gradient.
    shares
        When each is full, as a share of the compute time.
    slices
        Pieces of the small gradient in the same proportion.
    """

    nbytes: tuple[float, ...]
    shares: tuple[float, ...]
    slices: tuple[slice, ...]


def filled(tensors: Sequence[float], caps: Sequence[float]) -> list[float]:
    """Bytes of the buckets that *tensors* fill, from the last to the first.

    A bucket is closed when it holds its cap, so it may exceed it; the last of *caps* holds
    for all further buckets (PyTorch's Reducer: Li et al., arXiv:2006.15704, section 3.2).

    >>> filled([4.0, 1.0, 6.0], [1.0, 5.0])
    [6.0, 5.0]
    """
    sizes: list[float] = []
    held = 0.0
    for nbytes in reversed(tensors):
        held += nbytes
        if held and held >= caps[min(len(sizes), len(caps) - 1)]:
            sizes.append(held)
            held = 0.0
    return sizes + [held] * (held > 0) or [0.0]


def bucketed(parts: Sequence[Part], sizes: Sequence[float], parameters: int) -> Buckets:
    """Buckets of *sizes* bytes of a gradient that has *parameters* numbers in the small job."""
    shares = np.cumsum([0.0, *sizes]) / (sum(sizes) or 1.0)
    ends = np.round(shares * parameters).astype(int).tolist()
    ends[-1] = parameters
    slices = tuple(slice(a, b) for a, b in itertools.pairwise(ends))
    return Buckets(tuple(sizes), tuple(ready_times(parts, sizes)), slices)


def ready_times(parts: Sequence[Part], sizes: Sequence[float]) -> list[float]:
    """When buckets of the gradient are full, as shares of the compute time.

    The backward pass goes from the last layer to the first, and buckets are filled in
    that order; bucket j is full when the layer that holds its last byte is done (R2 in
    terms of r_ij: Li et al., PyTorch Distributed, arXiv:2006.15704).

    Parameters
    ----------
    parts
        Layers in the order of the forward pass.
    sizes
        Bytes of the buckets; together those of all layers.

    Raises
    ------
    InvalidInput
        If the buckets hold more than there is.

    >>> ready_times([Part(4.0, 0.1, 0.2), Part(6.0, 0.3, 0.4)], [6.0, 4.0])
    [0.8, 1.0]
    """
    backwards = parts[::-1]
    produced = np.cumsum([part.nbytes for part in backwards])
    done = sum(part.forward for part in parts) + np.cumsum([part.backward for part in backwards])
    wanted = np.cumsum(sizes)
    if wanted[-1] > produced[-1] * (1 + 1e-9):
        raise InvalidInput(f"buckets of {wanted[-1]:g} B for a gradient of {produced[-1]:g} B")
    # Sums of the same bytes in another order may differ in the last bits.
    at = np.searchsorted(produced, wanted * (1 - 1e-12))
    times: list[float] = done[np.minimum(at, len(done) - 1)].round(15).tolist()
    return times
