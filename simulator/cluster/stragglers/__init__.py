"""Stragglers: who is slower than the others, and when."""

from simulator.cluster.stragglers.base import STRAGGLERS, Slowdown, StragglerModel
from simulator.cluster.stragglers.lasting import SlowLinks, SlowWorkers
from simulator.cluster.stragglers.per_step import RandomWorkers, Replayed
from simulator.cluster.stragglers.timed import Markov, Periodic, Schedule

__all__ = [
    "STRAGGLERS",
    "Markov",
    "Periodic",
    "RandomWorkers",
    "Replayed",
    "Schedule",
    "SlowLinks",
    "SlowWorkers",
    "Slowdown",
    "StragglerModel",
]
