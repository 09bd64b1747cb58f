"""Partitions: which training samples each worker owns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Protocol

import numpy as np
from annotated_types import Ge, Gt
from numpy.typing import NDArray

from simulator.errors import DataError
from simulator.learning.data import Data
from simulator.registry import Registry

Indices = NDArray[np.int64]


class Partition(Protocol):
    """A scenario's `learning.partition`: shards of sample numbers, none empty or shared."""

    def shards(self, data: Data, workers: int, rng: np.random.Generator) -> list[Indices]: ...


PARTITIONS: Registry[Partition] = Registry("partition")


def _enough(data: Data, shards: int, what: str) -> None:
    if shards > len(data.x):
        raise DataError(
            f"{shards} {what} but only {len(data.x)} training samples in {data.name}; "
            "use fewer or a larger data set (dataset: classification takes samples:)"
        )


@PARTITIONS.register("iid")
@dataclass(frozen=True)
class Iid:
    """Equal random shards (sizes differ by at most one sample)."""

    def shards(self, data: Data, workers: int, rng: np.random.Generator) -> list[Indices]:
        _enough(data, workers, "workers")
        return list(np.array_split(rng.permutation(len(data.x)), workers))


@PARTITIONS.register("label-shards")
@dataclass(frozen=True)
class LabelShards:
    """Samples sorted by label and dealt in blocks, so each worker sees few labels."""

    shards_per_worker: Annotated[int, Ge(1)] = 2

    def shards(self, data: Data, workers: int, rng: np.random.Generator) -> list[Indices]:
        count = workers * self.shards_per_worker
        _enough(data, count, "label shards")
        blocks = np.array_split(np.argsort(data.y, kind="stable"), count)
        dealt = rng.permutation(count).reshape(workers, -1)
        return [np.concatenate([blocks[block] for block in own]) for own in dealt]


@PARTITIONS.register("dirichlet")
@dataclass(frozen=True)
class Dirichlet:
    """Every label is spread over the workers in proportions drawn from Dirichlet(alpha).

    Small alpha: few workers share a label; large alpha: nearly iid.  A worker that would
    get nothing receives one sample from the largest shard.
    """

    alpha: Annotated[float, Gt(0)] = 0.5

    def shards(self, data: Data, workers: int, rng: np.random.Generator) -> list[Indices]:
        _enough(data, workers, "workers")
        if data.classes is None:
            raise DataError(
                f"{data.name} is a regression problem; partition dirichlet needs labels (use iid)"
            )
        parts: list[list[Any]] = [[] for _ in range(workers)]
        for label in range(data.classes):
            members = rng.permutation(np.flatnonzero(data.y == label))
            share = np.cumsum(rng.dirichlet(np.full(workers, self.alpha)))[:-1]
            cuts = np.round(share * len(members)).astype(int)
            for part, piece in zip(parts, np.split(members, cuts), strict=True):
                part.extend(piece.tolist())
        for part in parts:
            if not part:
                part.append(max(parts, key=len).pop())
        return [np.array(part, np.int64) for part in parts]
