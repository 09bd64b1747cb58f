"""ResNet, VGG-16 and AlexNet as torchvision defines them, for images of 224 x 224 pixels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from simulator.cluster.presets.layers import (
    Architecture,
    Layer,
    convolution,
    linear,
    side_after,
    within,
)

CLASSES = 1000
TORCHVISION = "torchvision 0.28.0"


def on_imagenet(name: str, layers: Iterable[Layer], paper: str) -> Architecture:
    """A network for ImageNet, as torchvision defines it.

    ILSVRC-2012 has 1,281,167 training images (Russakovsky et al. 2015, table 2) in 138 GB:
    JPEGs of 110 kB on average, rounded up.
    """
    return Architecture(
        name,
        "convolutional",
        tuple(layers),
        sample=110_000.0,
        samples=1_281_167,
        dataset="ImageNet (ILSVRC-2012), JPEGs",
        source=f"{paper}; {TORCHVISION}",
    )


def _basic(inputs: int, width: int, stride: int, side: int) -> Iterator[Layer]:
    """Two convolutions 3 x 3; *side* is that of the output."""
    del stride  # the first convolution has it, so both have outputs of this side
    yield convolution("conv1", inputs, width, 3, side)
    yield convolution("conv2", width, width, 3, side)
    if inputs != width:
        yield convolution("downsample", inputs, width, 1, side)


def _bottleneck(inputs: int, width: int, stride: int, side: int) -> Iterator[Layer]:
    """1 x 1, 3 x 3 and 1 x 1 to four times the width; *side* is that of the output.

    torchvision has the stride in the second convolution, the paper in the first one.
    """
    yield convolution("conv1", inputs, width, 1, side * stride)
    yield convolution("conv2", width, width, 3, side)
    yield convolution("conv3", width, 4 * width, 1, side)
    if inputs != 4 * width:
        yield convolution("downsample", inputs, 4 * width, 1, side)


def _residual(blocks: tuple[int, ...], bottleneck: bool) -> Iterator[Layer]:
    """All layers of a ResNet with so many blocks in its four stages."""
    block, expansion = (_bottleneck, 4) if bottleneck else (_basic, 1)
    side = side_after(224, kernel=7, stride=2, padding=3)
    yield convolution("conv1", 3, 64, 7, side)
    side = side_after(side, kernel=3, stride=2, padding=1)
    channels = 64
    for stage, count in enumerate(blocks):
        width = 64 * 2**stage
        for index in range(count):
            stride = 2 if stage and not index else 1
            side //= stride
            yield from within(f"layer{stage + 1}.{index}", block(channels, width, stride, side))
            channels = expansion * width
    yield linear("fc", channels, CLASSES)


def resnet(*blocks: int, bottleneck: bool = True) -> Architecture:
    """ResNet with so many blocks in each of its four stages; its depth follows.

    >>> resnet(3, 4, 6, 3).name
    'resnet50'
    """
    depth = 2 + (3 if bottleneck else 2) * sum(blocks)
    paper = "He et al., Deep residual learning for image recognition, CVPR 2016"
    return on_imagenet(f"resnet{depth}", _residual(blocks, bottleneck), paper)


def vgg16() -> Architecture:
    """VGG-16 (configuration D) without batch normalisation."""
    paper = "Simonyan and Zisserman, Very deep convolutional networks, ICLR 2015"
    return on_imagenet("vgg16", _vgg((2, 2, 3, 3, 3)), paper)


def _vgg(stages: tuple[int, ...]) -> Iterator[Layer]:
    """So many convolutions 3 x 3 in each stage, then a pooling that halves the side."""
    side, channels, position = 224, 3, 0
    for stage, count in enumerate(stages):
        width = min(64 * 2**stage, 512)
        for _ in range(count):
            yield convolution(f"features.{position}", channels, width, 3, side, bias=True)
            channels, position = width, position + 2  # a ReLU has a number, too
        side, position = side // 2, position + 1
    yield linear("classifier.0", channels * side**2, 4096)
    yield linear("classifier.3", 4096, 4096)
    yield linear("classifier.6", 4096, CLASSES)


def alexnet() -> Architecture:
    """AlexNet in the form with one column and without response normalisation."""
    paper = "Krizhevsky, One weird trick for parallelizing CNNs, arXiv:1404.5997"
    return on_imagenet("alexnet", _alexnet(), paper)


def _alexnet() -> Iterator[Layer]:
    side = side_after(224, kernel=11, stride=4, padding=2)
    yield convolution("features.0", 3, 64, 11, side, bias=True)
    side = side_after(side, kernel=3, stride=2)
    yield convolution("features.3", 64, 192, 5, side, bias=True)
    side = side_after(side, kernel=3, stride=2)
    yield convolution("features.6", 192, 384, 3, side, bias=True)
    yield convolution("features.8", 384, 256, 3, side, bias=True)
    yield convolution("features.10", 256, 256, 3, side, bias=True)
    side = side_after(side, kernel=3, stride=2)
    yield linear("classifier.1", 256 * side**2, 4096)
    yield linear("classifier.4", 4096, 4096)
    yield linear("classifier.6", 4096, CLASSES)
