"""Progress: how much work is handed out, when it ends, and when the model is evaluated."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

import numpy as np

from simulator.cluster.job import Params

if TYPE_CHECKING:
    from simulator.cluster.cluster import Cluster


@dataclass(frozen=True)
class StopRule:
    """When a run ends: at the first that applies.

    Attributes
    ----------
    worker_steps
        Gradients of all workers together.
    time
        Simulated seconds.
    target_accuracy
        Held-out accuracy at an evaluation.
    """

    worker_steps: int | None = None
    time: float | None = None
    target_accuracy: float | None = None


@dataclass(frozen=True)
class Diverged:
    """The first step with a loss that is no number.

    Attributes
    ----------
    worker, step
        Where; worker is None if the evaluated model was the first to show it.
    time_s
        When.
    """

    worker: int | None
    step: int
    time_s: float


class Progress:
    """Hands out steps, counts samples, evaluates the model and ends the run.

    Parameters
    ----------
    cluster
        What is run.
    stop
        When to end.
    lock_step
        True: every worker takes the same number of steps.  False: each step is a ticket
        from a common pool, so that fast workers do more.
    batches
        Samples per step of the small job, by worker.
    every
        Samples between evaluations.

    Attributes
    ----------
    worker_steps, samples
        Finished so far, and samples in them.
    dropped
        Samples of gradients that nobody used.
    lock_step
        As given.
    """

    def __init__(
        self,
        cluster: Cluster,
        stop: StopRule,
        lock_step: bool,
        batches: Sequence[int],
        every: float,
    ):
        self.worker_steps = self.samples = self.dropped = 0
        self.diverged: Diverged | None = None
        self.accuracy = math.nan
        self._cluster, self._stop, self.lock_step = cluster, stop, lock_step
        self._batches, self._every, self._workers = batches, every, len(cluster.nodes)
        self._tickets = stop.worker_steps
        self._finished: dict[int, list[int]] = {}  # by step: samples of those who finished it
        self._expected = [(0, self._workers)]  # from that step on, so many workers more
        self._complete = 0  # samples; in lock step only of steps that all have finished
        self._passed = 0.0  # multiples of *every*
        self._due = False
        self._evaluated = (-1.0, -1)
        if stop.time is not None:
            cluster.env.deadline = stop.time
        self.evaluate()

    def steps(self, first: int = 0) -> Iterator[int]:
        """The steps of one worker, from *first* on."""
        if self.lock_step and self._stop.worker_steps is not None:
            return iter(range(first, -(-self._stop.worker_steps // self._workers)))
        return count(first) if self._tickets is None or self.lock_step else self._draw()

    def _draw(self) -> Iterator[int]:
        for step in count():
            if not self._tickets:
                return
            self._tickets -= 1
            yield step

    def give_back(self) -> None:
        """Somebody who drew a step is not there to take it; others may."""
        if self._tickets is not None:
            self._tickets += 1

    def draw_again(self) -> bool:
        """Somebody who gave a step back wants to take one; False if none is left."""
        if self._tickets is None:
            return True
        if not self._tickets:
            return False
        self._tickets -= 1
        return True

    def leave(self, step: int) -> None:
        """A worker of a run in lock step will not finish *step* and later ones."""
        self._expected.append((step, -1))
        for open_step in sorted(self._finished):
            if open_step >= step:
                self._complete_step(open_step)

    def join(self, step: int) -> None:
        """A worker will finish *step* and later ones."""
        self._expected.append((step, 1))

    def _complete_step(self, step: int) -> None:
        """Count *step* if all who take it have finished it."""
        finished = self._finished[step]
        expected = sum(change for first, change in self._expected if first <= step)
        if len(finished) == expected:
            del self._finished[step]
            # Steps are completed in order: what has changed until now is settled.
            later = [change for change in self._expected if change[0] > step]
            self._expected = [(0, expected), *later]
            self._complete += sum(finished)
            self._evaluate_soon()

    def finish(self, worker: int, step: int, loss: float, used: bool = True) -> None:
        """Count one finished worker-step, whose gradient was *used* or came too late."""
        self.worker_steps += 1
        self.samples += self._batches[worker]
        if not used:
            self.dropped += self._batches[worker]
        if not math.isfinite(loss):
            self._diverge(worker, step)
        elif self.lock_step:  # whole steps of all workers count
            finished = self._finished.setdefault(step, [])
            finished.append(self._batches[worker])
            if len(finished) == self._expected[0][1] or len(self._expected) > 1:
                self._complete_step(step)
        else:
            self._complete += self._batches[worker]
            self._evaluate_soon()

    def _evaluate_soon(self) -> None:
        """Evaluate after this instant if a multiple of `every` has been passed."""
        passed = self._complete // self._every
        if passed > self._passed:
            self._passed = passed
            if not self._due:
                self._due = True
                self._cluster.env.after_instant(self._evaluate_due)

    def _evaluate_due(self) -> None:
        self._due = False
        self.evaluate()

    def evaluate(self) -> None:
        """Enter the present model's losses and accuracy; ends the run if that was its target."""
        cluster = self._cluster
        cluster.network.settle()
        now = (cluster.env.now, self.samples)
        if now == self._evaluated:
            return
        self._evaluated = now
        params = average(cluster.evaluated())
        train_loss, test_loss, self.accuracy = cluster.job.evaluate(params)
        step = self.worker_steps // self._workers
        evaluations = cluster.trace.evaluations
        evaluations.append(evaluations.row(*now, step, train_loss, test_loss, self.accuracy))
        if not (math.isfinite(train_loss) and math.isfinite(test_loss)):
            self._diverge(None, step)
        target = self._stop.target_accuracy
        if target is not None and self.accuracy >= target:
            cluster.env.stop()

    def _diverge(self, worker: int | None, step: int) -> None:
        if self.diverged is None:
            self.diverged = Diverged(worker, step, self._cluster.env.now)
            self._cluster.env.stop()


def average(weighted: list[tuple[Params, float]]) -> Params:
    """Weighted mean in float64, rounded once; equal objects are counted, not added.

    >>> average([(np.float32([1, 2]), 1.0), (np.float32([3, 4]), 1.0)]).tolist()
    [2.0, 3.0]
    """
    first = weighted[0][0]
    if all(params is first for params, _ in weighted):
        return first
    result = np.zeros(first.shape)
    for params, weight in weighted:
        result += weight * params.astype(np.float64)
    return (result / sum(weight for _, weight in weighted)).astype(first.dtype)
