"""What a network consists of: layers with the shapes of their tensors and their FLOP."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import prod

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer: its parameters and what its forward pass costs.

    Attributes
    ----------
    name
        As in the implementation that `Architecture.source` names; that of the convolution
        where a batch normalisation follows.
    tensors
        Shapes of its parameters, in the order of definition; none for products of
        activations and for layers whose parameters are another layer's.
    forward
        FLOP per sample of its matrix products and convolutions, two per multiply-add.
    """

    name: str
    tensors: tuple[Shape, ...]
    forward: float

    @property
    def parameters(self) -> int:
        """Number of parameters.

        >>> linear("fc", 512, 1000).parameters
        513000
        """
        return sum(map(prod, self.tensors))


@dataclass(frozen=True)
class Architecture:
    """A network and the data set that it is usually trained on.

    Attributes
    ----------
    name
        What it is called in `PRESETS`.
    family
        ``convolutional``, ``transformer`` or ``recurrent``.
    layers
        In the order of the forward pass.
    sample
        Bytes of one sample in storage.
    samples
        Number of samples of the training set.
    dataset
        Name of the data set, and what one sample of it is.
    source
        Paper and implementation that `layers` follow.
    """

    name: str
    family: str
    layers: tuple[Layer, ...]
    sample: float
    samples: int
    dataset: str
    source: str

    @property
    def parameters(self) -> int:
        """Number of parameters."""
        return sum(layer.parameters for layer in self.layers)

    @property
    def tensors(self) -> int:
        """Number of parameter tensors."""
        return sum(len(layer.tensors) for layer in self.layers)

    @property
    def forward(self) -> float:
        """FLOP of the forward pass per sample."""
        return sum(layer.forward for layer in self.layers)


def within(name: str, layers: Iterable[Layer]) -> Iterator[Layer]:
    """The layers of the part *name* of a network."""
    return (replace(layer, name=f"{name}.{layer.name}") for layer in layers)


def linear(name: str, inputs: int, outputs: int, rows: int = 1) -> Layer:
    """A fully connected layer with bias, applied to *rows* vectors per sample.

    >>> linear("fc", 512, 1000)
    Layer(name='fc', tensors=((1000, 512), (1000,)), forward=1024000.0)
    """
    return Layer(name, ((outputs, inputs), (outputs,)), 2.0 * rows * inputs * outputs)


def embedding(name: str, rows: int, width: int) -> Layer:
    """A table of *rows* vectors; looking one up is no FLOP."""
    return Layer(name, ((rows, width),), 0.0)


def layer_norm(name: str, width: int) -> Layer:
    """Layer normalisation with scale and shift; no matrix product, so no FLOP are counted."""
    return Layer(name, ((width,), (width,)), 0.0)


def convolution(
    name: str,
    inputs: int,
    outputs: int,
    kernel: int | tuple[int, int],
    side: int,
    bias: bool = False,
) -> Layer:
    """A convolution with bias, or without but with the batch normalisation after it.

    Parameters
    ----------
    inputs, outputs
        Channels.
    kernel
        Height and width, or one number for both.
    side
        Height and width of the output in pixels.
    bias
        Whether it has a bias instead of the normalisation's scale and shift.

    >>> convolution("conv1", 3, 64, 7, side=112)
    Layer(name='conv1', tensors=((64, 3, 7, 7), (64,), (64,)), forward=236027904.0)
    """
    height, width = (kernel, kernel) if isinstance(kernel, int) else kernel
    weight = (outputs, inputs, height, width)
    vectors = ((outputs,),) if bias else ((outputs,), (outputs,))
    return Layer(name, (weight, *vectors), 2.0 * side**2 * prod(weight))


def side_after(side: int, kernel: int, stride: int = 1, padding: int = 0) -> int:
    """Side of the output of a convolution or pooling, pixels.

    >>> side_after(224, kernel=7, stride=2, padding=3)
    112
    """
    return (side + 2 * padding - kernel) // stride + 1
