"""Models whose gradients are taken for many workers at once.

Parameters are flat vectors.  Everything is stacked over workers; one worker is a stack
of one.  Matrix products run slice by slice, so a result does not depend on what else is
in the stack.
"""

from simulator.learning.models.base import MODELS, Model, ModelSettings
from simulator.learning.models.cnn import ConvNet
from simulator.learning.models.linear import LeastSquares, Quadratic
from simulator.learning.models.mlp import MLP, Softmax

__all__ = [
    "MLP",
    "MODELS",
    "ConvNet",
    "LeastSquares",
    "Model",
    "ModelSettings",
    "Quadratic",
    "Softmax",
]
