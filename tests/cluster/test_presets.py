"""Networks as data, against the numbers of those who publish or implement them."""

from dataclasses import FrozenInstanceError
from hashlib import sha256

import pytest

from simulator.cluster.presets import PRESETS, Layer, architecture
from simulator.errors import InvalidInput

# Parameters and multiply-adds (1e9): `num_params` and `_ops` of IMAGENET1K_V1 in torchvision
# 0.28.0.  Tensors: len(list(model.parameters())) there.
TORCHVISION = {
    "resnet18": (11_689_512, 62, 1.814),
    "resnet50": (25_557_032, 161, 4.089),
    "resnet101": (44_549_160, 314, 7.801),
    "resnet152": (60_192_808, 467, 11.514),
    "vgg16": (138_357_544, 32, 15.47),
    "alexnet": (61_100_840, 16, 0.714),
    "inception-v3": (27_161_264, 292, 5.713),
}
# FLOP that torch.utils.flop_counter counts (PyTorch 2.13, eager attention) in BertModel on
# 128 tokens and GPT2LMHeadModel on 1024, of transformers 5.23.0; GPT-2's also come out of
# transformer_sizing.ipynb of karpathy/nanoGPT.
TRANSFORMERS = {
    "bert-base": (109_482_240, 199, 22_348_431_360),
    "bert-large": (335_141_888, 391, 78_922_121_216),
    "gpt2": (124_439_808, 148, 291_648_307_200),
}
# sha256 of repr([tuple(p.shape) for p in model.parameters()]), taken from those models and
# for lstm-ptb from Embedding(10000, 1500), LSTM(1500, 1500, 2) and Linear(1500, 10000).
SHAPES = {
    "resnet18": "97eb30642281",
    "resnet50": "94bf2e8b7f48",
    "resnet101": "78dd63011cb4",
    "resnet152": "9cd350e3ce9b",
    "vgg16": "5ec665fd178b",
    "alexnet": "ee71b8a6ecd3",
    "inception-v3": "cdc81e9c9019",
    "bert-base": "6155e5d8eb68",
    "bert-large": "57a619fd96f9",
    "gpt2": "7d2aea9d8d1b",
    "lstm-ptb": "8498e01b8f5d",
}


def layers(name):
    return {layer.name: layer for layer in architecture(name).layers}


@pytest.mark.parametrize("name", TORCHVISION)
def test_image_models_are_torchvision_s(name):
    """To the last of the printed digits of GMAC; torchvision evaluates without the classifier
    beside the main path, which Inception-v3 has in training."""
    network = architecture(name)
    evaluated = [layer for layer in network.layers if not layer.name.startswith("AuxLogits.")]
    multiply_adds = sum(layer.forward for layer in evaluated) / 2e9
    assert (network.parameters, network.tensors) == TORCHVISION[name][:2]
    assert round(multiply_adds, 3) == TORCHVISION[name][2]
    assert network.family == "convolutional"
    assert (network.sample, network.samples) == (110e3, 1_281_167)


def test_training_inception_costs_its_auxiliary_classifier_too():
    """11,437,798,592 FLOP in training, 11,426,432,192 evaluated (torch.utils.flop_counter)."""
    network = architecture("inception-v3")
    auxiliary = [layer for layer in network.layers if layer.name.startswith("AuxLogits.")]
    assert network.forward == 11_437_798_592
    assert sum(layer.forward for layer in auxiliary) == 11_437_798_592 - 11_426_432_192
    assert sum(layer.parameters for layer in auxiliary) == 27_161_264 - 23_834_568


@pytest.mark.parametrize("name", TRANSFORMERS)
def test_transformers_are_hugging_face_s(name):
    network = architecture(name)
    assert (network.parameters, network.tensors, network.forward) == TRANSFORMERS[name]
    assert network.family == "transformer"


def test_the_lstm_has_two_biases_per_gate():
    """66M parameters in the paper; 35 steps of two layers' and the output's products."""
    network = architecture("lstm-ptb")
    assert (network.parameters, network.tensors) == (66_022_000 + 2 * 4 * 1500, 11)
    assert network.forward == 35 * 2 * (2 * 8 * 1500**2 + 1500 * 10_000)
    assert network.family == "recurrent"


@pytest.mark.parametrize("name", PRESETS)
def test_every_tensor_has_its_shape_and_place(name):
    shapes = [shape for layer in architecture(name).layers for shape in layer.tensors]
    assert sha256(repr(shapes).encode()).hexdigest()[:12] == SHAPES[name]


@pytest.mark.parametrize(
    ("name", "layer", "tensors"),
    [
        ("resnet50", "conv1", ((64, 3, 7, 7), (64,), (64,))),
        ("resnet50", "layer4.2.conv3", ((2048, 512, 1, 1), (2048,), (2048,))),
        ("resnet18", "layer2.0.downsample", ((128, 64, 1, 1), (128,), (128,))),
        ("vgg16", "features.5", ((128, 64, 3, 3), (128,))),
        ("vgg16", "features.28", ((512, 512, 3, 3), (512,))),
        ("vgg16", "classifier.0", ((4096, 25088), (4096,))),
        ("alexnet", "classifier.1", ((4096, 9216), (4096,))),
        ("inception-v3", "Mixed_6b.branch7x7_2", ((128, 128, 1, 7), (128,), (128,))),
        ("bert-large", "pooler.dense", ((1024, 1024), (1024,))),
        ("gpt2", "h.11.attn.c_attn", ((768, 2304), (2304,))),
        ("gpt2", "lm_head", ()),
        ("lstm-ptb", "lstm.1", ((6000, 1500), (6000, 1500), (6000,), (6000,))),
    ],
)
def test_shapes_by_name(name, layer, tensors):
    assert layers(name)[layer].tensors == tensors


def test_flop_by_hand():
    """Two per multiply-add; attention multiplies twice; a lookup is free."""
    assert layers("resnet50")["conv1"].forward == 2 * 112**2 * 64 * 3 * 7**2
    # torchvision strides in the 3 x 3, so the 1 x 1 before it sees the larger image.
    assert layers("resnet50")["layer2.0.conv1"].forward == 2 * 56**2 * 128 * 256
    assert layers("resnet50")["layer2.0.conv2"].forward == 2 * 28**2 * 128 * 128 * 9
    products = layers("bert-base")["encoder.layer.0.attention.self.products"]
    assert products == Layer(products.name, (), 2 * 2 * 128 * 128 * 768)
    assert layers("bert-base")["pooler.dense"].forward == 2 * 768**2
    assert layers("gpt2")["lm_head"].forward == 2 * 1024 * 768 * 50_257
    assert layers("gpt2")["wte"].forward == 0


@pytest.mark.parametrize(
    ("name", "tokens", "length"),
    [
        ("bert-base", 3.3e9, 128),  # the paper's words
        ("bert-large", 3.3e9, 128),
        ("gpt2", 9_035_582_198, 1024),  # OpenWebText by nanoGPT
        ("lstm-ptb", 929_589, 35),
    ],
)
def test_a_sample_of_text_is_a_sequence_of_ids(name, tokens, length):
    network = architecture(name)
    assert network.sample == 4 * length
    assert network.samples == tokens // length
    assert f", {length} " in network.dataset


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_a_named_constant(name):
    network = architecture(name)
    names = [layer.name for layer in network.layers]
    assert network.name == name
    assert len(set(names)) == len(names)
    assert architecture(name) is network
    assert network.source
    assert all(layer.tensors or layer.forward for layer in network.layers)
    with pytest.raises(FrozenInstanceError):
        network.name = "mine"
    with pytest.raises(FrozenInstanceError):
        network.layers[0].forward = 0


def test_an_unknown_name_is_refused_with_a_hint():
    with pytest.raises(InvalidInput, match="no preset 'resnet5'; did you mean 'resnet50'"):
        architecture("resnet5")
    with pytest.raises(InvalidInput, match="known: alexnet, bert-base"):
        architecture("zzz")
