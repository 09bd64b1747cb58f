"""BERT and GPT-2 as Hugging Face's transformers define them.

Softmax, GELU, normalisation and dropout are not counted as FLOP.
"""

from __future__ import annotations

from collections.abc import Iterator

from simulator.cluster.presets.layers import (
    Architecture,
    Layer,
    embedding,
    layer_norm,
    linear,
    within,
)

TRANSFORMERS = "Hugging Face transformers 5.23.0"
TOKEN = 4.0  # B, an id of 32 bit


def _attention_products(name: str, width: int, length: int) -> Layer:
    """Queries by keys and scores by values, whatever the number of heads.

    A causal mask saves nothing here, as in an implementation that masks the full product.
    """
    return Layer(name, (), 2 * 2.0 * length**2 * width)


def bert(name: str, blocks: int, width: int, length: int = 128) -> Architecture:
    """BERT (uncased) with pooler but without the heads of pre-training.

    A sample is a sequence of the first phase of pre-training: 128 token ids of 4 B.
    There are 3.3e9 / 128 of them: 800M words of BooksCorpus and 2500M of the English
    Wikipedia, a word taken as a token as the paper does for its 40 epochs (section A.2).
    """
    return Architecture(
        name,
        "transformer",
        tuple(_bert(blocks, width, length)),
        sample=TOKEN * length,
        samples=3_300_000_000 // length,
        dataset=f"BooksCorpus and English Wikipedia, {length} tokens",
        source=f"Devlin et al., BERT, NAACL 2019, arXiv:1810.04805; {TRANSFORMERS}, BertModel",
    )


def _bert(blocks: int, width: int, length: int) -> Iterator[Layer]:
    yield embedding("embeddings.word_embeddings", 30_522, width)
    yield embedding("embeddings.position_embeddings", 512, width)
    yield embedding("embeddings.token_type_embeddings", 2, width)
    yield layer_norm("embeddings.LayerNorm", width)
    for index in range(blocks):
        yield from within(f"encoder.layer.{index}", _bert_block(width, length))
    yield linear("pooler.dense", width, width)  # of the first token only


def _bert_block(width: int, length: int) -> Iterator[Layer]:
    for name in ("query", "key", "value"):
        yield linear(f"attention.self.{name}", width, width, length)
    yield _attention_products("attention.self.products", width, length)
    yield linear("attention.output.dense", width, width, length)
    yield layer_norm("attention.output.LayerNorm", width)
    yield linear("intermediate.dense", width, 4 * width, length)
    yield linear("output.dense", 4 * width, width, length)
    yield layer_norm("output.LayerNorm", width)


def gpt2(blocks: int = 12, width: int = 768, length: int = 1024) -> Architecture:
    """GPT-2 (small) with its output layer, whose matrix is the token embedding.

    A sample is a full context: 1024 token ids of 4 B.  WebText was not published, so the
    samples are OpenWebText's 9,035,582,198 training tokens (karpathy/nanoGPT,
    data/openwebtext/readme.md) over 1024.
    """
    return Architecture(
        "gpt2",
        "transformer",
        tuple(_gpt2(blocks, width, length)),
        sample=TOKEN * length,
        samples=9_035_582_198 // length,
        dataset=f"OpenWebText, {length} tokens",
        source=f"Radford et al., Language models are unsupervised multitask learners, 2019; "
        f"{TRANSFORMERS}, GPT2LMHeadModel",
    )


def _gpt2(blocks: int, width: int, length: int, vocabulary: int = 50_257) -> Iterator[Layer]:
    yield embedding("wte", vocabulary, width)
    yield embedding("wpe", length, width)
    for index in range(blocks):
        yield from within(f"h.{index}", _gpt2_block(width, length))
    yield layer_norm("ln_f", width)
    yield Layer("lm_head", (), 2.0 * length * width * vocabulary)


def _gpt2_block(width: int, length: int) -> Iterator[Layer]:
    yield layer_norm("ln_1", width)
    yield _projection("attn.c_attn", width, 3 * width, length)
    yield _attention_products("attn.products", width, length)
    yield _projection("attn.c_proj", width, width, length)
    yield layer_norm("ln_2", width)
    yield _projection("mlp.c_fc", width, 4 * width, length)
    yield _projection("mlp.c_proj", 4 * width, width, length)


def _projection(name: str, inputs: int, outputs: int, rows: int) -> Layer:
    """A linear layer whose weight is stored inputs first, as GPT-2's are."""
    return Layer(name, ((inputs, outputs), (outputs,)), 2.0 * rows * inputs * outputs)
