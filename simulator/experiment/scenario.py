"""Scenarios: everything that a run depends on, as frozen dataclasses with defaults."""
from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import scenarios
from annotated_types import Ge, Gt, Le, Lt

from simulator.algorithms import ALGORITHMS, Algorithm
from simulator.algorithms.base import Checked
from simulator.algorithms.sync_sgd import SyncSGD
from simulator.cluster import STORAGES, STRAGGLERS, Workload
from simulator.cluster.storage import NoStorage, StorageModel
from simulator.cluster.stragglers import StragglerModel
from simulator.engine import Streams
from simulator.errors import (
    DataError,
    InvalidInput,
    Problem,
    ScenarioError,
    printable,
    suggestion,
)
from simulator.experiment.document import Document, parse_value, read
from simulator.experiment.explain import validate
from simulator.experiment.references import resolve
from simulator.experiment.settings import dump, settings_for
from simulator.learning import DATASETS, MODELS, OPTIMIZERS, PARTITIONS, Data, prepare
from simulator.learning.data import Dataset
from simulator.learning.datasets import Digits
from simulator.learning.models import MLP, ModelSettings
from simulator.learning.optimizers import SGD, OptimizerSettings
from simulator.learning.partition import Iid, Partition
from simulator.units import Samples, Seconds
from topologies import TOPOLOGIES, Star, Topology

MODEL_VERSION = 1           # raise it whenever the same scenario gives other numbers
SCHEMA_VERSION = 1          # of result folders
INTERNAL = {"internal": True}
Accuracy = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class NetworkSettings:
    """How bytes become seconds.

    `fidelity` is the cost model; `all_reduce` the algorithm of all-reduce, `auto` being
    the cheapest by price for the size and the group.
    """

    fidelity: Literal["alpha-beta"] = "alpha-beta"
    all_reduce: Literal["auto", "ring", "tree", "two-level"] = "auto"


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
class Scenario:
    """Everything a run depends on, including `seed`."""

    name: str = "scenario"
    seed: Annotated[int, Ge(0)] = 0
    topology: Annotated[Topology, TOPOLOGIES] = field(default_factory=Star)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    workload: Workload = field(default_factory=Workload)
    storage: Annotated[StorageModel, STORAGES] = field(default_factory=NoStorage)
    stragglers: tuple[Annotated[StragglerModel, STRAGGLERS], ...] = ()
    failures: Literal["none"] = "none"
    learning: Learning = field(default_factory=Learning)
    algorithm: Annotated[Algorithm, ALGORITHMS] = field(default_factory=SyncSGD)
    stop: Stop = field(default_factory=lambda: Stop(steps=200))
    evaluate: Evaluate = field(default_factory=Evaluate)
    record: Record = field(default_factory=Record)
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
        if path := data["learning"]["dataset"].pop("path", None):
            content = resolve(path, self.folder, self.allow_outside).read_bytes()
            data["learning"]["dataset"]["content"] = hashlib.sha256(content).hexdigest()
        text = json.dumps([MODEL_VERSION, data], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def data(self) -> Data:
        """The data set, read or made, split and standardised.

        Raises
        ------
        DataError
            If it cannot be read or learned from.
        """
        learning = self.learning
        dataset: Any = learning.dataset
        if path := getattr(dataset, "path", None):
            dataset = type(dataset)(str(resolve(path, self.folder, self.allow_outside)))
        name = getattr(learning.dataset, "path", dataset.kind)
        return prepare(dataset, name, learning.data_seed, learning.test_fraction, learning.dtype)


def load(path: str | Path, overrides: Sequence[str] = (), *, allow_outside: bool = False,
         notes: list[str] | None = None) -> Scenario:
    """Read, complete and check a scenario file.

    Parameters
    ----------
    path
        A file, or the name of a shipped scenario.
    overrides
        Settings as ``"a.b=value"``, applied in order, kinds first.
    allow_outside
        Let the scenario name files outside the project it lies in.
    notes
        Receives remarks that a user should read, such as settings that were dropped.

    Raises
    ------
    ScenarioError
        With all mistakes at once.
    """
    document = read(find(path))
    apply_overrides(document, [Override.parse(text) for text in overrides], notes)
    return check(document, allow_outside)


def find(path: str | Path) -> Path:
    """File of a scenario given by path or by the name of a shipped one.

    Raises
    ------
    ScenarioError
        If there is neither.
    """
    given, shipped = Path(path), scenarios.names()
    if given.is_file() or given.suffix in (".yaml", ".yml"):
        return given
    if str(path) in shipped:
        return scenarios.path(str(path))
    if given.exists():
        return given
    raise ScenarioError([Problem(printable(str(path)), "", "no such file or shipped scenario; "
                                 + suggestion(str(path), shipped))])


def apply_overrides(document: Document, overrides: Sequence[Override],
                    notes: list[str] | None = None) -> None:
    """Apply settings to *document*, those that choose a kind first."""
    for override in sorted(overrides, key=lambda one: not one.path.endswith("kind")):
        dropped = document.set(override.path, override.value, override.origin)
        if dropped and notes is not None:
            notes.append(f"{override.origin}: dropped {', '.join(dropped)}, which belonged to "
                         "the kind that was replaced")


@dataclass(frozen=True)
class Override:
    """One setting that replaces what a scenario file says.

    Attributes
    ----------
    path
        Dotted, such as ``topology.hosts``.
    value
        Plain data.
    origin
        The option that brought it, for messages.
    """

    path: str
    value: Any
    origin: str

    @classmethod
    def parse(cls, text: str) -> Override:
        """Read ``a.b=value``; the value is YAML.

        >>> Override.parse("topology.hosts=4")
        Override(path='topology.hosts', value=4, origin='-S topology.hosts=4')
        """
        path, separator, value = text.partition("=")
        if not separator or not path or not all(path.split(".")):
            raise ScenarioError([Problem(f"-S {printable(text)}", "",
                                         "expected path=value, such as algorithm.kind=sync-sgd")])
        return cls(path, parse_value(value, f"-S {text}"), f"-S {text}")


def check(document: Document, allow_outside: bool = False) -> Scenario:
    """Validate *document* and look for combinations that cannot be run.

    Raises
    ------
    ScenarioError
        With all mistakes at once.
    """
    settings = validate(settings_for(Scenario), document)
    scenario: Scenario = replace(settings.build(), folder=document.folder,
                                 allow_outside=allow_outside)
    problems = [document.problem([int(key) if key.isdigit() else key for key in path.split(".")],
                                 message) for path, message in impossible(scenario)]
    if problems:
        raise ScenarioError(problems)
    return scenario


def impossible(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What a scenario asks for that cannot be had together: (path, message)."""
    workers, hosts = scenario.topology.workers, scenario.topology.hosts
    checks: list[tuple[str, Any, tuple[int, ...]]] = [
        (f"stragglers.{i}", model, (workers,)) for i, model in enumerate(scenario.stragglers)]
    checks.append(("algorithm", scenario.algorithm, (workers, hosts)))
    for path, part, arguments in checks:
        if isinstance(part, Checked):
            try:
                part.check(*arguments)
            except InvalidInput as error:
                yield path, str(error)
    if all(getattr(scenario.stop, name) is None for name in _names(Stop)):
        yield "stop", "says nothing; give steps, samples, epochs, time or target_accuracy"
    if scenario.stop.time == 0:
        yield "stop.time", "is zero; a run takes some time"
    optimizer = scenario.learning.optimizer
    if getattr(optimizer, "nesterov", False) and not getattr(optimizer, "momentum", 0):
        yield "learning.optimizer.nesterov", "needs a momentum above 0"
    yield from _unlearnable(scenario, workers)


def _names(cls: type) -> list[str]:
    return [item.name for item in fields(cls)]


def _unlearnable(scenario: Scenario, workers: int) -> Iterator[tuple[str, str]]:
    learning, where = scenario.learning, "learning.dataset"
    try:
        data = scenario.data()
        where = "learning.model"
        learning.model.for_data(data)
        where = "learning.partition"
        learning.partition.shards(data, workers, Streams(scenario.seed).get("partition"))
    except DataError as error:
        yield where, str(error)
        return
    for part, wanted in (("stop", scenario.stop), ("evaluate", scenario.evaluate)):
        if data.classes is None and wanted.target_accuracy is not None:
            yield f"{part}.target_accuracy", f"{data.name} is a regression problem and has no accuracy"
