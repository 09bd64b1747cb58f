"""Compute time: what a step of the full-size job takes on each worker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from simulator.cluster.episodes import Pace
from simulator.cluster.layout import Layout
from simulator.cluster.noise import Noise, NoNoise, factors
from simulator.cluster.stragglers import StragglerModel
from simulator.engine import Streams


class ComputeModel:
    """Seconds of every gradient.

    The worker's own time x noise of its step x factors of stragglers + their delays is the
    *work* of a step; where stragglers have episodes, it takes longer during them.

    Parameters
    ----------
    seconds
        Of a step without any disturbance, by worker.
    noise
        Factor on it.  That of worker i comes from stream ``("noise", i)``, of host h from
        ``("host noise", h)``.
    stragglers
        The scenario's, in order; number k draws from streams ``("straggler", k, ...)``.
    layout
        Who sits where.
    streams
        Randomness.
    """

    def __init__(
        self,
        seconds: Sequence[float],
        noise: Noise,
        stragglers: Sequence[StragglerModel],
        layout: Layout,
        streams: Streams,
    ):
        self._base = list(seconds)
        self._noise = None if isinstance(noise, NoNoise) else drawn(noise, layout, streams)
        self._following = [0] * layout.workers  # step that a worker's next noise belongs to
        self._slowness = [1.0] * layout.workers  # factors of stragglers in the present step
        slowdowns = [
            model.bind(layout, partial(streams.get, "straggler", number))
            for number, model in enumerate(stragglers)
        ]
        self._factors = [one.factor for one in slowdowns if one.factor is not None]
        self._delays = [one.delay for one in slowdowns if one.delay is not None]
        found = [
            [one.episodes(rank) for one in slowdowns if one.episodes is not None]
            for rank in range(layout.workers)
        ]
        sequences = [[one for one in own if one is not None] for own in found]
        self._paces = {rank: Pace(own) for rank, own in enumerate(sequences) if own}

    def work(self, worker: int, step: int) -> float:
        """Seconds that *step* of *worker* takes at full speed; ask once per step, in order.

        Steps may be left out; their noise is drawn all the same.
        """
        seconds = self._base[worker]
        if self._noise is not None:
            noise = self._noise[worker]
            while self._following[worker] < step:
                next(noise)
                self._following[worker] += 1
            seconds *= next(noise)
            self._following[worker] = step + 1
        if self._factors:
            slowness = 1.0
            for factor in self._factors:
                slowness *= factor(worker, step)
            seconds *= slowness
            self._slowness[worker] = slowness
        for delay in self._delays:
            seconds += delay(worker, step)
        return seconds

    def beside(self, worker: int, seconds: float) -> float:
        """Work of *seconds* that *worker* does beside the gradient of its present step.

        A straggler is as slow there; noise and delays are the gradient's.
        """
        return seconds * self._slowness[worker]

    def duration(self, worker: int, start: float, work: float) -> float:
        """How long *work* takes that *worker* begins at *start*."""
        pace = self._paces.get(worker)
        return work if pace is None else pace.end(start, work) - start


def drawn(noise: Noise, layout: Layout, streams: Streams) -> list[Iterator[float]]:
    """Factors of every worker's steps, one after the other."""
    if noise.common == "worker":
        return [factors(noise, streams.get("noise", rank)) for rank in range(layout.workers)]
    return [factors(noise, streams.get("host noise", host)) for host in layout.hosts]
