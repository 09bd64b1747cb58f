"""Workers: replicas that load batches, compute real gradients and take simulated time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from simpy.events import Event

from simulator.cluster.accounting import COMPUTE, IO, Lane
from simulator.cluster.job import Params
from simulator.cluster.storage import Load
from simulator.engine import Activity, Batch, Deferred, done
from simulator.engine.values import frozen
from simulator.errors import SimulatorError
from simulator.learning import Minibatch, State

if TYPE_CHECKING:
    from simulator.cluster.cluster import Cluster


class Gradient(Deferred):
    """Fires with the loss of a mini-batch and its gradient.

    Handed to a group instead of its value, it leaves the gradient there.
    """

    _loss = math.nan

    @property
    def loss(self) -> float:
        """Loss of the mini-batch, also after the gradient has been handed over.

        Raises
        ------
        SimulatorError
            If the computation is not over yet.
        """
        if self.callbacks is not None:
            raise SimulatorError("a loss is known when its gradient is; wait for that first")
        loss: float = self._loss if self.taken else self._value[0]
        return loss

    def take(self) -> Params:
        """The gradient, which this event then forgets; the loss stays."""
        gradient: Params
        self._loss, gradient = super().take()
        return gradient


class Worker:
    """One replica: its place, its data, its clock and its books.

    Every operation that takes simulated time starts when it is called and returns an
    event: yield it now to block, yield it later to overlap.

    Attributes
    ----------
    rank
        0 .. workers-1, in the order of the topology.
    node
        Where it runs.
    params
        The parameters that it last finished a step with.
    update
        ``update(params, grad, state) -> (change, state)``: the change that the scenario's
        optimiser makes of *grad*, in the model's dtype, and its next state.
    apply
        ``apply(params, change) -> params``: new parameters in the model's dtype; replicas
        that agree get the same object.
    """

    def __init__(
        self,
        cluster: Cluster,
        rank: int,
        node: str,
        lane: Lane,
        batches: Iterator[Minibatch],
        load: Load | None,
        gradients: Batch,
    ):
        self.cluster, self.rank, self.node, self.lane = cluster, rank, node, lane
        self.params: Params = cluster.job.start
        self._batches, self._load, self._gradients = batches, load, gradients
        self._append, self._row = cluster.trace.steps.append, cluster.trace.steps.row
        self.weight = 1.0
        self.update, self.apply = cluster.job.update, cluster.job.apply
        self._requested = 0
        self._step_start = 0.0

    def __repr__(self) -> str:
        return f"worker {self.rank}"

    def start(self) -> tuple[Params, State]:
        """Initial parameters and optimiser state; says whose process this is."""
        self.cluster.begin(self.lane)
        return self.cluster.job.start, self.cluster.job.state

    def steps(self) -> Iterator[int]:
        """Numbers of the steps to take: a range in lock step, else as long as work is left."""
        return self.cluster.progress.steps()

    def load_batch(self) -> Event:
        """Event whose value is the next mini-batch."""
        batch, env = next(self._batches), self._gradients.env
        if self._load is None:
            return done(env, batch)
        begin, end = self._load(env.now)
        self.lane.beside("loader", IO, begin, min(end, env.now))  # the part read ahead
        if end <= env.now:
            return done(env, batch)
        event = Activity(env, "a batch from storage")
        event.kind = "io"
        event.finish(end - env.now, batch)
        return event

    def compute_gradient(self, params: Params, batch: Minibatch) -> Gradient:
        """Event whose value is the loss and the gradient at *params* on *batch*."""
        gradients, lane = self._gradients, self.lane
        now = gradients.env._now
        seconds = self.cluster.compute.seconds(self.rank, self._requested, now)
        self._requested += 1
        delay = (lane.cursor if lane.cursor > now else now) + seconds - now
        lane.fill(COMPUTE, now + delay)
        if params is not self.params or params.dtype != self.cluster.job.dtype:
            params = frozen(self.cluster.job.rounded(params))
        return Gradient(gradients, delay, (params, batch))

    def finish_step(
        self,
        step: int,
        params: Params,
        loss: float,
        staleness: float | None = None,
        weight: float = 1.0,
    ) -> None:
        """End a step: one row of `steps`, its samples counted, its parameters evaluated.

        Parameters
        ----------
        step
            The worker's own count.
        params
            What the worker holds now.
        loss
            Of the mini-batch.
        staleness
            Updates that the gradient missed; None where that has no meaning.
        weight
            Of *params* in the mean that is evaluated.
        """
        now = self._gradients.env._now
        self.params, self.weight = frozen(params), weight
        missed = math.nan if staleness is None else staleness
        self._append(self._row(self.rank, step, self._step_start, now, loss, missed))
        self._step_start = now
        self.cluster.progress.finish(self.rank, step, loss)

    def publish(self, params: Params) -> None:
        """Let *params*, which a final wait has changed, be evaluated instead of the last ones."""
        self.cluster.publish(self, frozen(params))
