"""Algorithms: how replicas are kept in step.  One file each; see docs/adding_an_algorithm.md."""

from simulator.algorithms import async_ps, dc_s3gd, layered_sgd, local_sgd, sync_sgd
from simulator.algorithms.base import ALGORITHMS, Algorithm, Needs, Specification, register

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Needs",
    "Specification",
    "async_ps",
    "dc_s3gd",
    "layered_sgd",
    "local_sgd",
    "register",
    "sync_sgd",
]
