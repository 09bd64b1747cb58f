"""Stragglers that are drawn, or were recorded, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from simulator.cluster.layout import Layout, Of, ranks_of
from simulator.cluster.randomtimes import DURATIONS, Constant, Random, drawn_ahead
from simulator.cluster.recorded import Recorded, read_recorded
from simulator.cluster.stragglers.base import STRAGGLERS, OfStep, Rng, Slowdown
from simulator.errors import DataError, InvalidInput


@STRAGGLERS.register("random-workers")
@dataclass(frozen=True, kw_only=True)
class RandomWorkers:
    """In every step `count` others are late, drawn anew: `delay` more, and `factor` times as long.

    This is how the experiments of eager-SGD (Li et al., PPoPP 2020, section 7) and WAGMA-SGD
    imitate a cluster that others use too; step t is the t-th step of every worker.  With
    ``of: hosts`` all workers of a drawn host are late.
    """

    count: Annotated[int, Ge(0)] = 1
    delay: Annotated[Random, DURATIONS] = field(default_factory=Constant)
    factor: Annotated[float, Gt(0), Le(1e6)] = 1.0
    of: Of = "workers"

    def check_on(self, layout: Layout) -> None:
        """Refuse more than there are."""
        units = layout.count(self.of)
        if self.count > units:
            raise InvalidInput(f"count is {self.count} but there are only {units} {self.of}")

    def bind(self, layout: Layout, rng: Rng) -> Slowdown:
        numbers, units = layout.numbers(self.of), layout.count(self.of)
        order, lateness = rng(0), drawn_ahead(self.delay, rng(1))
        drawn: list[dict[int, float]] = []  # by step: who is late, by how many seconds

        def late(step: int) -> dict[int, float]:
            while len(drawn) <= step:
                units_late = order.permutation(units)[: self.count].tolist()
                delays = {unit: next(lateness) for unit in units_late}
                ranks = ranks_of(layout, self.of, units_late)
                drawn.append({rank: delays[numbers[rank]] for rank in ranks})
            return drawn[step]

        return Slowdown(
            lambda worker, step: self.factor if worker in late(step) else 1.0,
            lambda worker, step: late(step).get(worker, 0.0),
        )


@STRAGGLERS.register("replayed")
@dataclass(frozen=True, kw_only=True)
class Replayed:
    """Factors that were recorded: a CSV file with columns worker, step, factor.

    A worker without rows is never slow; one with rows needs one for every step from 0 on.
    After its last one a worker's record begins again.
    """

    path: str
    column: str = "factor"

    def check_on(self, layout: Layout) -> None:
        """Refuse a record of workers that are not there.

        Raises
        ------
        DataError
            If the file cannot be read, has gaps or names other workers.
        """
        self._record(layout)

    def _record(self, layout: Layout) -> Recorded:
        record = read_recorded(self.path, self.column, layout.workers)
        for worker, factors in record.items():
            if not factors.all():
                raise DataError(
                    f"{self.path}: {self.column} of worker {worker} in step "
                    f"{int(np.argmin(factors))} is 0; expected more than 0"
                )
        return record

    def bind(self, layout: Layout, rng: Rng) -> Slowdown:
        del rng
        record = self._record(layout)
        return Slowdown(factor=again_and_again(record))


def again_and_again(record: Recorded) -> OfStep:
    """What *record* says of a step; 1 for workers that it does not know.

    >>> import numpy as np
    >>> factor = again_and_again({0: np.array([2.0, 3.0])})
    >>> [factor(0, 0), factor(0, 1), factor(0, 2), factor(1, 0)]
    [2.0, 3.0, 2.0, 1.0]
    """
    known = {worker: values.tolist() for worker, values in record.items()}
    nothing = [1.0]

    def factor(worker: int, step: int) -> float:
        values = known.get(worker, nothing)
        value: float = values[step % len(values)]
        return value

    return factor
