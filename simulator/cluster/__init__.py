"""The cluster: workers and servers on a network, how long things take, who is slow."""

from simulator.cluster.accounting import Lane
from simulator.cluster.cluster import Cluster, Communicator
from simulator.cluster.compute import ComputeModel
from simulator.cluster.job import Job
from simulator.cluster.progress import Diverged, Progress, StopRule
from simulator.cluster.randomtimes import DURATIONS, NOISES
from simulator.cluster.server import Server
from simulator.cluster.storage import STORAGES
from simulator.cluster.stragglers import STRAGGLERS
from simulator.cluster.worker import Worker
from simulator.cluster.workload import Workload

__all__ = [
    "DURATIONS",
    "NOISES",
    "STORAGES",
    "STRAGGLERS",
    "Cluster",
    "Communicator",
    "ComputeModel",
    "Diverged",
    "Job",
    "Lane",
    "Progress",
    "Server",
    "StopRule",
    "Worker",
    "Workload",
]
