"""Workers: replicas that load batches, compute real gradients and take simulated time."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

from simpy.events import Event

from simulator.cluster.accounting import COMPUTE, Lane
from simulator.cluster.job import Params
from simulator.cluster.storage import Loader
from simulator.cluster.workload import Buckets
from simulator.engine import Batch, Computation, Deferred, Together, done
from simulator.engine.values import frozen
from simulator.errors import SimulatorError
from simulator.learning import Minibatch, State

if TYPE_CHECKING:
    from simulator.cluster.cluster import Cluster


Update = Callable[[Params, Params, State], tuple[Params, State]]


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

    def part(self, part: slice) -> Params:
        """A slice of the gradient, which may be ready before the whole of it."""
        self.batch.resolve_early(self)
        known: tuple[float, Params] = self._value
        return known[1][part]

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
    state
        The optimiser's state after that, where somebody may have to go on from there.
    loader
        Its input pipeline.
    first_step, finished
        The step that its process began with, and the one it has to finish next.
    until
        The step before which its process has to end, if another one follows.
    saving
        The checkpoint that its next batch waits for, if there is one.
    update
        ``update(params, grad, state) -> (change, state)``: the change that the scenario's
        optimiser makes of *grad*, in the model's dtype, and its next state.
    apply
        ``apply(params, change) -> params``: new parameters in the model's dtype; replicas
        that agree get the same object.
    joined
        ``joined(*parts) -> vector``: slices of a gradient put together again.
    at_step
        ``at_step(state, step) -> state``: the optimiser's state as if it were at *step*.
    """

    def __init__(
        self,
        cluster: Cluster,
        rank: int,
        node: str,
        lane: Lane,
        batches: Iterator[Minibatch],
        loader: Loader,
        gradients: Batch,
    ):
        self.cluster, self.rank, self.node, self.lane = cluster, rank, node, lane
        self.params: Params = cluster.job.start
        self.state: State = cluster.job.state
        self.first_step = self.finished = 0
        self.until: int | None = None
        self.saving: Event | None = None
        self._batches, self.loader, self._gradients = batches, loader, gradients
        # What is being computed, each with the share of the work after which it is over.
        self._open: list[tuple[Gradient | Computation, float]] = []
        self._work = self._began = 0.0
        self._append, self._row = cluster.trace.steps.append, cluster.trace.steps.row
        self.weight = 1.0
        self.update: Update = cluster.job.update
        self.apply, self.joined = cluster.job.apply, cluster.job.joined
        self.at_step = cluster.job.at_step
        self._requested = 0
        self._step_start = 0.0
        if cluster.outages is not None:
            self.update = self._remembering

    def __repr__(self) -> str:
        return f"worker {self.rank}"

    def start(self) -> tuple[Params, State]:
        """Initial parameters and optimiser state; says whose process this is."""
        self.cluster.begin(self.lane, f"worker {self.rank}")
        return self.params, self.state

    def steps(self) -> Iterator[int]:
        """Numbers of the steps to take: a range in lock step, else as long as work is left."""
        progress = self.cluster.progress
        steps = progress.steps(self.first_step)
        if not progress.lock_step:  # a step that was given up is none of its own
            return (self.finished for _ in steps)
        until = self.until
        return steps if until is None else takewhile(lambda step: step < until, steps)

    def go_on_with(self, params: Params, state: State, first: int, until: int) -> None:
        """Let the next process be one that takes the steps first..until-1 from here on."""
        self.update = self._remembering
        self.params, self.state = frozen(params), state
        self.first_step, self.until = first, until

    def load_batch(self) -> Event:
        """Event whose value is the next mini-batch."""
        event = self.loader.take(next(self._batches))
        if self.saving is None or self.saving.callbacks is None:
            return event
        return self._after_saving(event)

    def _after_saving(self, loading: Event) -> Event:
        """*loading*, but not before the checkpoint has been written."""
        assert self.saving is not None
        both = [self.saving, loading]
        label = "a checkpoint to be written"
        return Together(self._gradients.env, label, both, lambda values: values[1], "io")

    def compute_gradient(self, params: Params, batch: Minibatch) -> Gradient:
        """Event whose value is the loss and the gradient at *params* on *batch*."""
        self._work = self.cluster.compute.work(self.rank, self._requested)
        self._requested += 1
        delay = self._busy_with(self._work)
        if params is not self.params or params.dtype != self.cluster.job.dtype:
            params = frozen(self.cluster.job.rounded(params))
        gradient = Gradient(self._gradients, delay, (params, batch))
        self._open = [(gradient, 1.0)]
        return gradient

    def _busy_with(self, work: float) -> float:
        """Account for *work* that begins as soon as it can; how long from now until its end."""
        lane, now = self.lane, self._gradients.env._now
        start = lane.cursor if lane.cursor > now else now
        delay = start + self.cluster.compute.duration(self.rank, start, work) - now
        lane.fill(COMPUTE, now + delay)
        self._began = start
        return delay

    def ready(self, gradient: Gradient, buckets: Buckets) -> list[Event]:
        """Events of the buckets of *gradient*, which has just been asked for.

        Each fires when the backward pass has filled it; its value is that slice of the
        gradient.
        """
        env = self._gradients.env
        events: list[Event] = []
        for share, part in zip(buckets.shares, buckets.slices, strict=True):
            event = Computation(env, "a bucket of a gradient")
            event.finish(self._until(share), late=partial(gradient.part, part))
            events.append(event)
            self._open.append((event, share))
        return events

    def _until(self, share: float) -> float:
        """Seconds from now until that share of the present work is done."""
        took = self.cluster.compute.duration(self.rank, self._began, self._work * share)
        return self._began + took - self._gradients.env._now

    def spend(self, seconds: float) -> Event:
        """Event that fires when the worker has computed for *seconds* at full speed.

        For what an algorithm computes beside gradients: selecting, sketching.
        """
        if not seconds:
            return done(self._gradients.env, None)
        cluster, rank = self.cluster, self.rank
        self._work = cluster.compute.beside(rank, seconds / cluster.equipment.speeds[rank])
        event = Computation(self._gradients.env, "a computation")
        event.finish(self._busy_with(self._work))
        self._open = [(event, 1.0)]
        return event

    def abandon(self) -> None:
        """Give up the gradient that is being computed; its step is anybody's to take."""
        self.abort()
        self._open = []
        self.cluster.progress.give_back()

    def rate(self, step: int) -> float:
        """Learning rate at its own step number *step*."""
        return self.cluster.job.optimizer.rate(step)

    def finish_step(
        self,
        step: int,
        params: Params,
        loss: float,
        staleness: float | None = None,
        weight: float = 1.0,
        used: bool = True,
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
        used
            Whether the gradient came in time to change a model.
        """
        now = self._gradients.env._now
        self.params, self.weight = frozen(params), weight
        missed = math.nan if staleness is None else staleness
        self._append(self._row(self.rank, step, self._step_start, now, loss, missed))
        self._step_start = now
        self.finished = step + 1
        self.cluster.progress.finish(self.rank, step, loss, used)
        if self.cluster.outages is not None:
            self.cluster.outages.finished(self, step)

    def publish(self, params: Params, weight: float = 1.0) -> None:
        """Let *params*, which a final wait has changed, be evaluated instead of the last ones."""
        self.weight = weight
        self.cluster.publish(self, frozen(params))

    # -- for outages -------------------------------------------------------------------

    def abort(self) -> float | None:
        """Abort the computation that is under way; the seconds it takes at full speed."""
        self._open = [one for one in self._open if one[0].callbacks is not None]
        if not self._open or not self.lane.is_alive():
            return None
        for event, _ in self._open:
            event.withdraw()
        self.lane.cut(self._gradients.env.now)
        return self._work

    def compute_again(self, work: float) -> None:
        """Begin the aborted computation anew."""
        self._work = work
        self._busy_with(work)
        for event, share in self._open:
            event.put_back(self._until(share))

    def adopt(self, params: Params, state: State, first_step: int) -> None:
        """Let the next start be with these, at *first_step*."""
        self.params, self.state = frozen(params), state
        self.first_step = self.finished = self._requested = first_step
        self._step_start = self._gradients.env.now
        self._open = []
        self.loader.restart()

    def _remembering(self, params: Params, grad: Params, state: State) -> tuple[Params, State]:
        change, self.state = self.cluster.job.update(params, grad, state)
        return change, self.state
