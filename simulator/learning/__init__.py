"""Learning: models, data, optimisers.  Pure numpy; knows no time and no network."""

from simulator.learning.data import Data, prepare
from simulator.learning.datasets import DATASETS
from simulator.learning.models import MODELS, Model
from simulator.learning.optimizers import OPTIMIZERS, Optimizer, State
from simulator.learning.partition import PARTITIONS
from simulator.learning.sampling import Minibatch, distinct_samples, minibatches
from simulator.learning.schedules import SCHEDULES

__all__ = [
    "DATASETS",
    "MODELS",
    "OPTIMIZERS",
    "PARTITIONS",
    "SCHEDULES",
    "Data",
    "Minibatch",
    "Model",
    "Optimizer",
    "State",
    "distinct_samples",
    "minibatches",
    "prepare",
]
