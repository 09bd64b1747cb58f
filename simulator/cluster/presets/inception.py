"""Inception-v3 as torchvision defines it, for images of 299 x 299 pixels."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.cluster.presets.convolutional import CLASSES, on_imagenet
from simulator.cluster.presets.layers import (
    Architecture,
    Layer,
    convolution,
    linear,
    side_after,
    within,
)

Convolution = tuple[str, int, int | tuple[int, int]]  # name, channels of the output, kernel


def _chain(inputs: int, side: int, *convolutions: Convolution) -> Iterator[Layer]:
    """Convolutions one after the other, all with outputs of the same side."""
    for name, outputs, kernel in convolutions:
        yield convolution(name, inputs, outputs, kernel, side)
        inputs = outputs


def inception_v3() -> Architecture:
    """Inception-v3 with its auxiliary classifier, whose FLOP count: it is there in training.

    Without the layers named ``AuxLogits`` it is the network that is evaluated.
    """
    paper = "Szegedy et al., Rethinking the Inception architecture, CVPR 2016"
    return on_imagenet("inception-v3", _layers(), paper)


def _layers() -> Iterator[Layer]:
    side = side_after(299, kernel=3, stride=2)
    yield convolution("Conv2d_1a_3x3", 3, 32, 3, side)
    side = side_after(side, kernel=3)
    yield convolution("Conv2d_2a_3x3", 32, 32, 3, side)
    yield convolution("Conv2d_2b_3x3", 32, 64, 3, side)
    side = side_after(side, kernel=3, stride=2)
    yield convolution("Conv2d_3b_1x1", 64, 80, 1, side)
    side = side_after(side, kernel=3)
    yield convolution("Conv2d_4a_3x3", 80, 192, 3, side)
    side = side_after(side, kernel=3, stride=2)
    yield from within("Mixed_5b", _block_a(192, 32, side))
    yield from within("Mixed_5c", _block_a(256, 64, side))
    yield from within("Mixed_5d", _block_a(288, 64, side))
    yield from within("Mixed_6a", _block_b(288, side))
    side = side_after(side, kernel=3, stride=2)
    for name, width in (("b", 128), ("c", 160), ("d", 160), ("e", 192)):
        yield from within(f"Mixed_6{name}", _block_c(768, width, side))
    yield from within("AuxLogits", _auxiliary(768, side))
    yield from within("Mixed_7a", _block_d(768, side))
    side = side_after(side, kernel=3, stride=2)
    yield from within("Mixed_7b", _block_e(1280, side))
    yield from within("Mixed_7c", _block_e(2048, side))
    yield linear("fc", 2048, CLASSES)


def _block_a(inputs: int, pooled: int, side: int) -> Iterator[Layer]:
    """224 channels and *pooled* ones of the branch with the pooling."""
    yield from _chain(inputs, side, ("branch1x1", 64, 1))
    yield from _chain(inputs, side, ("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5))
    yield from _chain(
        inputs,
        side,
        ("branch3x3dbl_1", 64, 1),
        ("branch3x3dbl_2", 96, 3),
        ("branch3x3dbl_3", 96, 3),
    )
    yield from _chain(inputs, side, ("branch_pool", pooled, 1))


def _block_b(inputs: int, side: int) -> Iterator[Layer]:
    """480 channels beside the pooled input, at half the side."""
    half = side_after(side, kernel=3, stride=2)
    yield convolution("branch3x3", inputs, 384, 3, half)
    yield from _chain(inputs, side, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3))
    yield convolution("branch3x3dbl_3", 96, 96, 3, half)


def _block_c(inputs: int, width: int, side: int) -> Iterator[Layer]:
    """Four times 192 channels; *width* are the channels between the factors of a 7 x 7."""
    across, down = (1, 7), (7, 1)
    yield from _chain(inputs, side, ("branch1x1", 192, 1))
    yield from _chain(
        inputs,
        side,
        ("branch7x7_1", width, 1),
        ("branch7x7_2", width, across),
        ("branch7x7_3", 192, down),
    )
    yield from _chain(
        inputs,
        side,
        ("branch7x7dbl_1", width, 1),
        ("branch7x7dbl_2", width, down),
        ("branch7x7dbl_3", width, across),
        ("branch7x7dbl_4", width, down),
        ("branch7x7dbl_5", 192, across),
    )
    yield from _chain(inputs, side, ("branch_pool", 192, 1))


def _block_d(inputs: int, side: int) -> Iterator[Layer]:
    """512 channels beside the pooled input, at half the side."""
    half = side_after(side, kernel=3, stride=2)
    yield convolution("branch3x3_1", inputs, 192, 1, side)
    yield convolution("branch3x3_2", 192, 320, 3, half)
    yield from _chain(
        inputs,
        side,
        ("branch7x7x3_1", 192, 1),
        ("branch7x7x3_2", 192, (1, 7)),
        ("branch7x7x3_3", 192, (7, 1)),
    )
    yield convolution("branch7x7x3_4", 192, 192, 3, half)


def _block_e(inputs: int, side: int) -> Iterator[Layer]:
    """2048 channels; two branches end in a fork of 384 channels each."""
    across, down = (1, 3), (3, 1)
    yield from _chain(inputs, side, ("branch1x1", 320, 1))
    yield from _chain(inputs, side, ("branch3x3_1", 384, 1), ("branch3x3_2a", 384, across))
    yield from _chain(384, side, ("branch3x3_2b", 384, down))
    yield from _chain(inputs, side, ("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3))
    yield from _chain(384, side, ("branch3x3dbl_3a", 384, across))
    yield from _chain(384, side, ("branch3x3dbl_3b", 384, down))
    yield from _chain(inputs, side, ("branch_pool", 192, 1))


def _auxiliary(inputs: int, side: int) -> Iterator[Layer]:
    """A pooling, two convolutions and a classifier beside the main path."""
    side = side_after(side, kernel=5, stride=3)
    yield convolution("conv0", inputs, 128, 1, side)
    side = side_after(side, kernel=5)
    yield convolution("conv1", 128, 768, 5, side)
    yield linear("fc", 768, CLASSES)
