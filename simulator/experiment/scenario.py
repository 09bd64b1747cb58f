"""Scenarios: everything that a run depends on, as frozen dataclasses with defaults."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Gt, Le, Lt

from simulator.algorithms import ALGORITHMS, Algorithm
from simulator.algorithms.sync_sgd import SyncSGD
from simulator.cluster import STORAGES, STRAGGLERS, Failures, HostSettings, Workload
from simulator.cluster.equipment import Share
from simulator.cluster.storage import NoStorage, StorageModel
from simulator.cluster.stragglers import StragglerModel
from simulator.experiment.networking import NetworkSettings
from simulator.experiment.references import blocks_with_files, resolve, with_files
from simulator.experiment.settings import dump
from simulator.learning import DATASETS, MODELS, OPTIMIZERS, PARTITIONS, Data, prepare
from simulator.learning.data import Dataset
from simulator.learning.datasets import Digits
from simulator.learning.models import MLP, ModelSettings
from simulator.learning.optimizers import SGD, OptimizerSettings
from simulator.learning.partition import Iid, Partition
from simulator.units import Samples, Seconds
from topologies import TOPOLOGIES, Star, Topology

MODEL_VERSION = 4  # raise it whenever the same scenario gives other numbers
SCHEMA_VERSION = 1  # of result folders
Part = TypeVar("Part")
INTERNAL = {"internal": True}
Accuracy = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class Learning:
    """What the scaled-down job learns, with real arithmetic.

    `batch_size` is per worker and step; `data_seed` fixes generated data and the split,
    so that seeds of runs share their data.
    """

    model: Annotated[ModelSettings, MODELS] = field(default_factory=MLP)
    dataset: Annotated[Dataset, DATASETS] = field(default_factory=Digits)
    partition: Annotated[Partition, PARTITIONS] = field(default_factory=Iid)
    batch_size: Annotated[int, Ge(1)] = 32
    optimizer: Annotated[OptimizerSettings, OPTIMIZERS] = field(default_factory=SGD)
    dtype: Literal["float32", "float64"] = "float32"
    data_seed: Annotated[int, Ge(0)] = 0
    test_fraction: Annotated[float, Gt(0), Lt(1)] = 0.2


@dataclass(frozen=True)
class Stop:
    """When a run ends: at the first of those given.

    `steps` are per worker on average, `samples` and `epochs` count the whole cluster,
    `time` is simulated.
    """

    steps: Annotated[int, Ge(1)] | None = None
    samples: Samples | None = None
    epochs: Annotated[float, Gt(0)] | None = None
    time: Seconds | None = None
    target_accuracy: Accuracy | None = None


@dataclass(frozen=True)
class Evaluate:
    """How often the model is evaluated (by default once per epoch), and the target reported."""

    every: Samples | None = None
    target_accuracy: Accuracy | None = None


@dataclass(frozen=True)
class Record:
    """What is written beside the summary; `every: k` keeps one worker or message in k."""

    spans: bool = True
    messages: bool = True
    every: Annotated[int, Ge(1)] = 1


@dataclass(frozen=True)
class Prices:
    """What an hour costs: of a worker's device, and of a process beside the workers.

    In any currency; parameter servers and communicators are such processes.
    """

    device_hour: Annotated[float, Ge(0), Le(1e9)] | None = None
    process_hour: Annotated[float, Ge(0), Le(1e9)] = 0.0


@dataclass(frozen=True)
class Scenario:
    """Everything a run depends on, including `seed`.

    `hosts` are what some hosts have that the others have not; `share` is how the samples of
    a step are divided among workers that are not equally fast.
    """

    name: str = "scenario"
    seed: Annotated[int, Ge(0)] = 0
    topology: Annotated[Topology, TOPOLOGIES] = field(default_factory=Star)
    hosts: tuple[HostSettings, ...] = ()
    network: NetworkSettings = field(default_factory=NetworkSettings)
    workload: Workload = field(default_factory=Workload)
    share: Share = "equal-size"
    storage: Annotated[StorageModel, STORAGES] = field(default_factory=NoStorage)
    stragglers: tuple[Annotated[StragglerModel, STRAGGLERS], ...] = ()
    failures: Failures = field(default_factory=Failures)
    learning: Learning = field(default_factory=Learning)
    algorithm: Annotated[Algorithm, ALGORITHMS] = field(default_factory=SyncSGD)
    stop: Stop = field(default_factory=lambda: Stop(steps=200))
    evaluate: Evaluate = field(default_factory=Evaluate)
    record: Record = field(default_factory=Record)
    prices: Prices = field(default_factory=Prices)
    folder: Path = field(default=Path(), compare=False, metadata=INTERNAL)
    allow_outside: bool = field(default=False, compare=False, metadata=INTERNAL)

    def resolved(self, *, units: bool = True) -> dict[str, Any]:
        """Plain data with every default filled in."""
        return dump(self, units=units)  # type: ignore[no-any-return]

    def config_hash(self) -> str:
        """SHA-256 of what decides the numbers: settings in SI, referenced files, model version.

        The name and what is recorded do not count, nor how a quantity was spelled.
        """
        data = self.resolved(units=False)
        del data["name"], data["record"]
        for block in blocks_with_files(data):
            content = resolve(block.pop("path"), self.folder, self.allow_outside).read_bytes()
            block["content"] = hashlib.sha256(content).hexdigest()
        text = json.dumps([MODEL_VERSION, data], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def located(self, part: Part) -> Part:
        """*part* of it, a dataclass, with the files that it names where they are.

        Raises
        ------
        DataError
            If there is no such file, or it lies outside the project.
        """
        found: Part = with_files(
            part, lambda path: str(resolve(path, self.folder, self.allow_outside))
        )
        return found

    def data(self) -> Data:
        """The data set, read or made, split and standardised.

        Raises
        ------
        DataError
            If it cannot be read or learned from.
        """
        learning = self.learning
        dataset: Any = self.located(learning.dataset)
        name = getattr(learning.dataset, "path", dataset.kind)
        return prepare(dataset, name, learning.data_seed, learning.test_fraction, learning.dtype)
