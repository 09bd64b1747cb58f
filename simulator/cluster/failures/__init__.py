"""Failures: workers and hosts that are lost, and how the others go on."""

from simulator.cluster.failures.losses import LOSSES, LossModel, Preemption, RandomLoss, TimedLoss
from simulator.cluster.failures.outages import Outages
from simulator.cluster.failures.settings import Checkpoint, Failures

__all__ = [
    "LOSSES",
    "Checkpoint",
    "Failures",
    "LossModel",
    "Outages",
    "Preemption",
    "RandomLoss",
    "TimedLoss",
]
