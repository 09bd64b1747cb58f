"""Compressors: what of a gradient is sent, as numbers; knows no time and no network."""

from simulator.learning.compressors.lowrank import LowRank, orthonormal
from simulator.learning.compressors.sketch import CountSketch, count_sketch
from simulator.learning.compressors.topk import (
    Sparse,
    dense,
    merge_top_k,
    select,
    sparse_sum,
    top_k,
    tree_top_k,
    without,
)
from simulator.learning.models.base import Shape

__all__ = [
    "CountSketch",
    "LowRank",
    "Shape",
    "Sparse",
    "count_sketch",
    "dense",
    "merge_top_k",
    "orthonormal",
    "select",
    "sparse_sum",
    "top_k",
    "tree_top_k",
    "without",
]
