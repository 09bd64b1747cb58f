"""The cluster that an algorithm runs on: workers, groups, servers and their network."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from simpy.events import Event

from simulator.cluster.accounting import Lane, Process
from simulator.cluster.compute import ComputeModel
from simulator.cluster.equipment import Equipment
from simulator.cluster.failures import Failures, Outages
from simulator.cluster.job import Job, Params
from simulator.cluster.rounds import Rounds
from simulator.cluster.server import Server
from simulator.cluster.storage import Site, StorageModel, loader_of, reads_of_all
from simulator.cluster.worker import Worker
from simulator.cluster.workload import (
    BYTES_PER_PARAMETER,
    Buckets,
    Workload,
    bucketed,
    filled,
)
from simulator.engine import Batch, Clock, Streams, Trace, Watched
from simulator.engine.process import again
from simulator.engine.values import frozen
from simulator.learning import Minibatch, distinct_samples, minibatches
from simulator.learning.sampling import padded
from simulator.network import ChangingGroup, Choices, Group, Mail, Network

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
        self.cluster.begin(self.lane, f"the communicator on {self.node}")


Member = Worker | Communicator | Server


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
    workload, equipment
        The full-size job, and what the workers have for it.
    compute, storage, streams
        How long things take, and randomness.
    servers
        Nodes for parameter servers.
    storage_node
        Where the storage is, if it has a host of its own.
    how
        How collectives are done.
    failures
        Who is lost, and what the others do then.
    lock_step
        Whether all workers take the same number of steps.
    stack_limit
        Gradients evaluated together; None for the job's own limit.

    Attributes
    ----------
    shards
        Sample numbers of every worker.
    communicators
        Those of groups, beside the workers.
    server_nodes
        Nodes for parameter servers.
    workload, streams
        The full-size job, and randomness.
    servers
        Parameter servers in use; their values are evaluated instead of the replicas'.
    layout
        Who sits where.
    store
        The storage.
    outages
        Lost workers; None where nobody can be lost.
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
        workload: Workload,
        equipment: Equipment,
        compute: ComputeModel,
        storage: StorageModel,
        streams: Streams,
        servers: Sequence[str] = (),
        storage_node: str | None = None,
        how: Choices = Choices(),  # noqa: B008 (frozen)
        failures: Failures = Failures(),  # noqa: B008 (frozen)
        lock_step: bool = True,
        stack_limit: int | None = None,
    ):
        self.env, self.trace, self.network, self.job = env, trace, network, job
        self.nodes, self.nbytes, self.compute = list(nodes), workload.nbytes, compute
        self.equipment, self.layout = equipment, equipment.layout
        self.groups: list[Group] = []
        self.servers: list[Server] = []
        self._how, self.server_nodes = how, list(servers)
        self.workload, self.streams = workload, streams
        self._rounds: list[Rounds] = []
        self._published: dict[Any, Params] = {}
        self.communicators: list[Communicator] = []
        self._places: dict[Member, list[tuple[ChangingGroup, int]]] = {}
        self._factories: dict[Event, Callable[[], Process]] = {}
        saves = bool(failures.losses) and failures.checkpoint is not None and lock_step
        site = Site(env, network, nodes, storage_node, self.layout, streams, saves)
        self.store = storage.mount(site)
        self.outages: Outages | None = None
        if failures.losses:
            self.outages = Outages(self, failures, lock_step, streams)
        gradients = Batch(env, job.gradients, stack_limit or job.stack_limit)
        self.shards = list(shards)
        self.lanes = [Lane(trace.spans, rank, "worker") for rank in range(len(nodes))]
        batches = mini_batches_of_all(self.shards, equipment.small_batches, streams, job.dtype)
        reads = reads_of_all(workload, equipment, storage.pipeline)
        self.workers = [
            Worker(
                self,
                rank,
                node,
                self.lanes[rank],
                batches[rank],
                loader_of(rank, env, self.lanes[rank], self.store, storage.pipeline, reads[rank]),
                gradients,
            )
            for rank, node in enumerate(nodes)
        ]

    # -- for algorithms ----------------------------------------------------------------

    def group(self, members: Sequence[Member], name: str = "world") -> Group:
        """A group whose rank r is ``members[r]``."""
        nodes = [member.node for member in members]
        if self.outages is None:
            self.groups.append(Group(self.network, nodes, self.nbytes, name, self._how))
            return self.groups[-1]
        group = ChangingGroup(self.network, nodes, self.nbytes, name, self._how)
        self.groups.append(group)
        for rank, member in enumerate(members):
            self._places.setdefault(member, []).append((group, rank))
        return group

    def communicator(self, workers: Sequence[Worker]) -> Communicator:
        """A CPU process on the host of the first of *workers*."""
        first = workers[0]
        lane = Lane(self.trace.spans, first.rank, "communicator")
        made = Communicator(self, self.host_of(first), lane)
        self.communicators.append(made)
        return made

    def subgroups(self, size: int | None) -> list[list[Worker]]:
        """Workers host by host, or in consecutive groups of *size*."""
        if size is not None:
            return [self.workers[at : at + size] for at in range(0, len(self.workers), size)]
        hosts: dict[str, list[Worker]] = {}
        for worker in self.workers:
            hosts.setdefault(self.host_of(worker), []).append(worker)
        return list(hosts.values())

    def server(self, nodes: Sequence[str] | None = None) -> Server:
        """A parameter server that starts with the initial parameters.

        It is cut into shards, one for each of the scenario's server nodes, or of *nodes*.
        """
        server = Server(self, self.server_nodes if nodes is None else nodes)
        self.servers.append(server)
        return server

    def rounds(
        self,
        node: str,
        combine: Callable[[list[Any]], Any],
        wanted: int,
        answer: float,
        seconds: float = 0.0,
    ) -> Rounds:
        """A server on *node* that waits for contributions and answers all; see `Rounds`."""
        self._rounds.append(Rounds(self, node, combine, wanted, answer, seconds))
        return self._rounds[-1]

    def mail(self) -> Mail:
        """Messages between workers, by rank."""
        return Mail(self.network, self.nodes, self.nbytes)

    def host_of(self, worker: Worker) -> str:
        """Node of the host that *worker* is on."""
        return self.network.router.host[worker.node]

    def buckets(self, caps: Sequence[float]) -> Buckets:
        """The gradient in buckets of at least *caps* bytes, as the backward pass fills them."""
        sizes = filled(self.workload.tensor_nbytes_each(), caps)
        return bucketed(self.workload.parts(), sizes, len(self.job.start))

    @property
    def extra_processes(self) -> int:
        """Servers and communicators, which run beside the workers."""
        collecting = len(dict.fromkeys(rounds.node for rounds in self._rounds))
        return sum(len(one.nodes) for one in self.servers) + collecting + len(self.communicators)

    @property
    def parameters(self) -> float:
        """Numbers in a dense gradient of the full-size job."""
        return self.nbytes / BYTES_PER_PARAMETER

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

    def begin(self, lane: Lane, name: str) -> None:
        """Called by a process at its start: its waits belong to *lane*, and it is *name*."""
        process = self.env.active_process
        if isinstance(process, Watched):
            process.observer, lane.process = lane, process
            self.env.rename(process, name)

    def run(self, processes: Sequence[Process]) -> None:
        """Run *processes* until the last has ended or the progress says stop."""
        for number, process in enumerate(processes):
            name = f"process {number} ({getattr(process, '__name__', 'generator')})"
            if self.outages is not None and self.outages.shrinks:
                factory = again(process)
                self._factories[self.env.work(process, name)] = factory
            else:
                self.env.work(process, name)
        if self.outages is not None:
            self.outages.begin()
        self.env.run_to_end()

    def begin_again(self, worker: Worker) -> None:
        """Start the process of *worker*, which has ended, from its beginning."""
        assert worker.lane.process is not None
        factory = self._factories.pop(worker.lane.process)
        self._factories[self.env.work(factory(), f"worker {worker.rank}")] = factory

    def leave(self, worker: Worker) -> None:
        """End the process of *worker*; others do not wait for it."""
        worker.lane.kill(self.env.now)
        for group, place in self.groups_of(worker):
            group.leave(place)
        for rounds in self._rounds:
            rounds.leave(worker)

    def groups_of(self, member: Member) -> list[tuple[ChangingGroup, int]]:
        """Groups that *member* is in, with its rank there."""
        return self._places.get(member, [])

    def communicators_on(self, host: int) -> list[Communicator]:
        """Those that run on host number *host*."""
        return [one for one in self.communicators if one.node == self.layout.host_nodes[host]]

    def close(self, end: float) -> None:
        """Enter what is still under way when the run ends at *end*."""
        self.network.close(end)
        for lane in self.lanes:
            lane.close(end)
        for worker in self.workers:
            worker.loader.close(end)

    def evaluated(self) -> list[tuple[Params, float]]:
        """Parameters that count as the model, with weights."""
        own = [server.params for server in self.servers if server not in self._published]
        published = [*self._published.values(), *own]
        if published:
            return [(params, 1.0) for params in published]
        workers = self.workers if self.outages is None else self.outages.counted(self.workers)
        return [(worker.params, worker.weight) for worker in workers]


def mini_batches_of_all(
    shards: Sequence[NDArray[np.int64]], sizes: Sequence[int], streams: Streams, dtype: Any
) -> list[Iterator[Minibatch]]:
    """The mini-batches of every worker.

    Where their sizes differ a sample counts the same whoever has it: the gradient of a
    worker with half the mean batch counts half.
    """
    most = max(sizes)
    if min(sizes) == most:
        rows = distinct_samples(list(shards), most)
        return [
            minibatches(shard, most, streams.get("data", rank), rows, dtype)
            for rank, shard in enumerate(shards)
        ]
    mean = sum(sizes) / len(sizes)
    return [
        padded(minibatches(shard, size, streams.get("data", rank)), size, most, size / mean, dtype)
        for rank, (shard, size) in enumerate(zip(shards, sizes, strict=True))
    ]
