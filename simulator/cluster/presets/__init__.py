"""Well-known networks as data: layers with the shapes of their tensors and their FLOP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType

from simulator.cluster.presets.convolutional import alexnet, resnet, vgg16
from simulator.cluster.presets.inception import inception_v3
from simulator.cluster.presets.layers import Architecture, Layer
from simulator.cluster.presets.recurrent import lstm_ptb
from simulator.cluster.presets.transformers import bert, gpt2
from simulator.errors import InvalidInput, printable, suggestion

PRESETS: Mapping[str, Callable[[], Architecture]] = MappingProxyType(
    {
        "resnet18": partial(resnet, 2, 2, 2, 2, bottleneck=False),
        "resnet50": partial(resnet, 3, 4, 6, 3),
        "resnet101": partial(resnet, 3, 4, 23, 3),
        "resnet152": partial(resnet, 3, 8, 36, 3),
        "vgg16": vgg16,
        "alexnet": alexnet,
        "inception-v3": inception_v3,
        "bert-base": partial(bert, "bert-base", blocks=12, width=768),
        "bert-large": partial(bert, "bert-large", blocks=24, width=1024),
        "gpt2": gpt2,
        "lstm-ptb": lstm_ptb,
    }
)


@cache
def architecture(name: str) -> Architecture:
    """The network called *name* in `PRESETS`.

    Raises
    ------
    InvalidInput
        If there is none.

    >>> resnet50 = architecture("resnet50")
    >>> resnet50.parameters, resnet50.tensors, round(resnet50.forward / 1e9, 2)
    (25557032, 161, 8.18)
    >>> resnet50.layers[-1]
    Layer(name='fc', tensors=((1000, 2048), (1000,)), forward=4096000.0)
    """
    if name not in PRESETS:
        raise InvalidInput(f"no preset {printable(name)}; {suggestion(name, PRESETS)}")
    return PRESETS[name]()


__all__ = ["PRESETS", "Architecture", "Layer", "architecture"]
