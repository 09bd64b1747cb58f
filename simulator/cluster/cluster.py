"""The cluster that an algorithm runs on: workers, groups, servers and their network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from simulator.cluster.accounting import Lane, Process
from simulator.cluster.compute import ComputeModel
from simulator.cluster.job import Job, Params
from simulator.cluster.server import Server
from simulator.cluster.storage import StorageModel
from simulator.cluster.worker import Worker
from simulator.cluster.workload import Workload
from simulator.engine import Batch, Clock, Streams, Trace, Watched
from simulator.engine.values import frozen
from simulator.learning import distinct_samples, minibatches
from simulator.network import Choices, Group, Network

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from simulator.cluster.progress import Progress


class Communicator:
    """A process on a host's CPU that takes part in groups but computes nothing."""

    def __init__(self, cluster: Cluster, node: str, lane: Lane):
        self.cluster, self.node, self.lane = cluster, node, lane

    def start(self) -> None:
        """Say whose process this is."""
        self.cluster.begin(self.lane)


class Cluster:
    """Workers and servers on a network.

    Parameters
    ----------
    env, trace, network
        Clock, books and links.
    nodes
        Node of every worker, in rank order.
    job
        What the workers compute.
    shards
        Sample numbers of every worker.
    batch_size
        Of the small job.
    workload, compute, storage, streams
        What things cost.
    servers
        Nodes for parameter servers.
    how
        How collectives are done.
    stack_limit
        Gradients evaluated together; None for the job's own limit.

    Attributes
    ----------
    shards
        Sample numbers of every worker.
    servers
        Parameter servers in use; their values are evaluated instead of the replicas'.
    nbytes
        Bytes of a dense gradient, and of the model, of the full-size job.
    """

    progress: Progress

    def __init__(
        self,
        env: Clock,
        trace: Trace,
        network: Network,
        nodes: Sequence[str],
        job: Job,
        shards: Sequence[NDArray[np.int64]],
        batch_size: int,
        workload: Workload,
        compute: ComputeModel,
        storage: StorageModel,
        streams: Streams,
        servers: Sequence[str] = (),
        how: Choices = Choices(),  # noqa: B008 (frozen)
        stack_limit: int | None = None,
    ):
        self.env, self.trace, self.network, self.job = env, trace, network, job
        self.nodes, self.nbytes, self.compute = list(nodes), workload.gradient, compute
        self.groups: list[Group] = []
        self.servers: list[Server] = []
        self._how, self._server_nodes = how, list(servers)
        self._published: dict[Any, Params] = {}
        gradients = Batch(env, job.gradients, stack_limit or job.stack_limit)
        self.shards = list(shards)
        self.lanes = [Lane(trace.spans, rank, "worker") for rank in range(len(nodes))]
        together = distinct_samples(self.shards, batch_size)
        self.workers = [
            Worker(
                self,
                rank,
                node,
                self.lanes[rank],
                minibatches(shard, batch_size, streams.get("data", rank), together, job.dtype),
                storage.loader(rank, workload, streams),
                gradients,
            )
            for rank, (node, shard) in enumerate(zip(nodes, shards, strict=True))
        ]

    # -- for algorithms ----------------------------------------------------------------

    def group(self, members: Sequence[Worker | Communicator], name: str = "world") -> Group:
        """A group whose rank r is ``members[r]``."""
        group = Group(
            self.network, [member.node for member in members], self.nbytes, name, self._how
        )
        self.groups.append(group)
        return group

    def communicator(self, workers: Sequence[Worker]) -> Communicator:
        """A CPU process on the host of the first of *workers*."""
        first = workers[0]
        lane = Lane(self.trace.spans, first.rank, "communicator")
        return Communicator(self, self.network.router.host[first.node], lane)

    def subgroups(self, size: int | None) -> list[list[Worker]]:
        """Workers host by host, or in consecutive groups of *size*."""
        if size is not None:
            return [self.workers[at : at + size] for at in range(0, len(self.workers), size)]
        hosts: dict[str, list[Worker]] = {}
        for worker in self.workers:
            hosts.setdefault(self.network.router.host[worker.node], []).append(worker)
        return list(hosts.values())

    def server(self, number: int = 0) -> Server:
        """A parameter server that starts with the initial parameters."""
        server = Server(self, self._server_nodes[number])
        self.servers.append(server)
        return server

    def service(self, process: Process) -> None:
        """Start a process that does not keep the run alive: an averager, a loader."""
        self.env.service(process)

    def publish(self, owner: Any, params: Params) -> None:
        """Let *params* be evaluated: for a worker its own, else instead of the replicas."""
        if isinstance(owner, Worker):
            owner.params = frozen(params)
        else:
            self._published[owner] = frozen(params)

    # -- for the run -------------------------------------------------------------------

    def begin(self, lane: Lane) -> None:
        """Called by a process at its start: its waits belong to *lane*."""
        process = self.env.active_process
        if isinstance(process, Watched):
            process.observer, lane.process = lane, process

    def run(self, processes: Sequence[Process]) -> None:
        """Run *processes* until the last has ended or the progress says stop."""
        for number, process in enumerate(processes):
            name = f"process {number} ({getattr(process, '__name__', 'generator')})"
            self.env.work(process, name)
        self.env.run_to_end()

    def close(self, end: float) -> None:
        """Enter what is still under way when the run ends at *end*."""
        self.network.close(end)
        for lane in self.lanes:
            lane.close(end)

    def evaluated(self) -> list[tuple[Params, float]]:
        """Parameters that count as the model, with weights."""
        own = [server.params for server in self.servers if server not in self._published]
        published = [*self._published.values(), *own]
        if published:
            return [(params, 1.0) for params in published]
        return [(worker.params, worker.weight) for worker in self.workers]
