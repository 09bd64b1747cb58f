"""A synchronous parameter server: it averages gradients, updates the model and sends it back."""

from __future__ import annotations

from collections.abc import Callable

from simpy.events import Event

from simulator.cluster import Cluster, Worker
from simulator.cluster.job import Job, Params
from simulator.cluster.rounds import News
from simulator.cluster.server import joined, shards
from simulator.engine import Together
from simulator.network.group import mean_of


class Keeper:
    """The optimiser on a server, which keeps one part of the model."""

    def __init__(self, job: Job, part: slice, stepped: Callable[[], None]):
        self._job, self._stepped, self.params = job, stepped, job.start[part]
        self._state = job.optimizer.init(self.params)

    def step(self, gradients: list[Params]) -> Params:
        """The part after one step with the mean of *gradients*."""
        mean = mean_of(iter(gradients))
        change, self._state = self._job.update(self.params, mean, self._state)
        self.params = self._job.apply(self.params, change)
        self._stepped()
        return self.params


class AveragingServer:
    """Keeps the model, in shards if there are several server nodes.

    Parameters
    ----------
    cluster
        Its nodes are the scenario's server nodes.
    wanted
        Gradients that make a step; what comes later is dropped.
    """

    def __init__(self, cluster: Cluster, wanted: int):
        job, nodes = cluster.job, cluster.server_nodes
        self._env, self._parts = cluster.env, shards(len(job.start), len(nodes))
        self._sizes = [
            cluster.nbytes * (part.stop - part.start) / len(job.start) for part in self._parts
        ]
        self._cluster = cluster
        self._keepers = [Keeper(job, part, self._stepped) for part in self._parts]
        self._rounds = [
            cluster.rounds(node, keeper.step, wanted, nbytes)
            for node, keeper, nbytes in zip(nodes, self._keepers, self._sizes, strict=True)
        ]

    def _stepped(self) -> None:
        """The server's model is what counts, also where a worker has an older one."""
        self._cluster.publish(self, joined([keeper.params for keeper in self._keepers]))

    def took(self, worker: Worker, step: int) -> bool:
        """Is the worker's gradient part of *step*, which is over?"""
        return self._rounds[0].took(worker, step)

    def push(self, worker: Worker, step: int, grad: Params) -> None:
        """Send the gradient of *step*, a part to every shard."""
        for rounds, part, nbytes in zip(self._rounds, self._parts, self._sizes, strict=True):
            rounds.submit(worker, step, grad[part], nbytes)

    def model(self, worker: Worker, step: int) -> Event:
        """Event that fires with the `News` of the model after *step*, or of a later one."""
        news = [rounds.news(worker, step) for rounds in self._rounds]
        if len(news) == 1:
            return news[0]
        return Together(self._env, "a model from the server", news, _put_together)

    def leave(self, worker: Worker) -> None:
        """*worker* pushes nothing more."""
        for rounds in self._rounds:
            rounds.leave(worker)


def _put_together(news: list[News]) -> News:
    return News(news[0].rounds, joined([one.value for one in news]))
