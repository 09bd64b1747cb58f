"""The cluster: workers and servers on a network, how long things take, who is slow."""

from simulator.cluster.accounting import Lane
from simulator.cluster.cluster import Cluster, Communicator
from simulator.cluster.compute import ComputeModel
from simulator.cluster.computetime import COMPUTES
from simulator.cluster.equipment import Equipment, HostSettings, equip
from simulator.cluster.failures import LOSSES, Failures
from simulator.cluster.job import Job
from simulator.cluster.layout import Layout
from simulator.cluster.noise import NOISES
from simulator.cluster.progress import Diverged, Progress, StopRule
from simulator.cluster.randomtimes import DURATIONS
from simulator.cluster.server import Server
from simulator.cluster.storage import STORAGES
from simulator.cluster.stragglers import STRAGGLERS
from simulator.cluster.worker import Worker
from simulator.cluster.workload import Workload

__all__ = [
    "COMPUTES",
    "DURATIONS",
    "LOSSES",
    "NOISES",
    "STORAGES",
    "STRAGGLERS",
    "Cluster",
    "Communicator",
    "ComputeModel",
    "Diverged",
    "Equipment",
    "Failures",
    "HostSettings",
    "Job",
    "Lane",
    "Layout",
    "Progress",
    "Server",
    "StopRule",
    "Worker",
    "Workload",
    "equip",
]
