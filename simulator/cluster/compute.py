"""Compute time: what a step of the full-size job takes on each worker."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.cluster.randomtimes import NoNoise, drawn_ahead
from simulator.cluster.stragglers import StragglerModel
from simulator.cluster.workload import Workload
from simulator.engine import Streams


class ComputeModel:
    """Seconds of every gradient: workload x noise of the worker's step x slowdowns.

    Parameters
    ----------
    workload
        The full-size job.
    stragglers
        Slowdowns, multiplied.
    workers
        How many there are.
    streams
        Noise of worker i comes from stream ``("noise", i)``.
    """

    def __init__(
        self,
        workload: Workload,
        stragglers: Sequence[StragglerModel],
        workers: int,
        streams: Streams,
    ):
        self._base = workload.compute
        self._slowdowns = [model.bind(workers, streams) for model in stragglers]
        noisy = not isinstance(workload.noise, NoNoise)
        self._noise = (
            [drawn_ahead(workload.noise, streams.get("noise", rank)) for rank in range(workers)]
            if noisy
            else None
        )

    def seconds(self, worker: int, step: int, now: float) -> float:
        """Compute time of the gradient that *worker* begins *now*; call it once per step."""
        seconds = self._base * next(self._noise[worker]) if self._noise else self._base
        for slowdown in self._slowdowns:
            seconds *= slowdown(worker, step, now)
        return seconds
