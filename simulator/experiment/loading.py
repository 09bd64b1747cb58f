"""Loading: a scenario file and what the command line adds become a checked `Scenario`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import scenarios
from simulator.algorithms.base import Checked
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
from simulator.experiment.scenario import Scenario, Stop
from simulator.experiment.settings import settings_for
from simulator.learning import Data


def load(
    path: str | Path,
    overrides: Sequence[str] = (),
    *,
    allow_outside: bool = False,
    notes: list[str] | None = None,
) -> Scenario:
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
    if given.suffix in (".yaml", ".yml") or os.path.isfile(given):
        return given
    if str(path) in shipped:
        return scenarios.path(str(path))
    if os.path.exists(given):  # unlike Path.exists it takes any text, however long
        return given
    raise ScenarioError(
        [
            Problem(
                printable(str(path)),
                "",
                "no such file or shipped scenario; " + suggestion(str(path), shipped),
            )
        ]
    )


def apply_overrides(
    document: Document, overrides: Sequence[Override], notes: list[str] | None = None
) -> None:
    """Apply settings to *document*, those that choose a kind first."""
    for override in sorted(overrides, key=lambda one: not one.path.endswith("kind")):
        dropped = document.set(override.path, override.value, override.origin)
        if dropped and notes is not None:
            notes.append(
                f"{override.origin}: dropped {', '.join(dropped)}, which belonged to "
                "the kind that was replaced"
            )


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
            raise ScenarioError(
                [
                    Problem(
                        f"-S {printable(text)}",
                        "",
                        "expected path=value, such as algorithm.kind=sync-sgd",
                    )
                ]
            )
        return cls(path, parse_value(value, f"-S {text}"), f"-S {text}")


def check(document: Document, allow_outside: bool = False) -> Scenario:
    """Validate *document* and look for combinations that cannot be run.

    Raises
    ------
    ScenarioError
        With all mistakes at once.
    """
    settings = validate(settings_for(Scenario), document)
    scenario: Scenario = replace(
        settings.build(), folder=document.folder, allow_outside=allow_outside
    )
    problems = [
        document.problem([int(key) if key.isdigit() else key for key in path.split(".")], message)
        for path, message in impossible(scenario)
    ]
    if problems:
        raise ScenarioError(problems)
    return scenario


def impossible(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What a scenario asks for that cannot be had together: (path, message)."""
    workers, hosts = scenario.topology.workers, scenario.topology.hosts
    checks: list[tuple[str, Any, tuple[int, ...]]] = [
        (f"stragglers.{i}", model, (workers,)) for i, model in enumerate(scenario.stragglers)
    ]
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
        model = learning.model.for_data(data)
        needed, available = memory_needed(model.size, workers, data), memory_of_this_machine()
        if needed > 0.8 * available:
            raise DataError(
                f"{model.size:,} parameters for {workers:,} workers need about "
                f"{needed / 1e9:,.0f} GB, this machine has {available / 1e9:,.0f} GB; use a "
                "smaller model or fewer workers (the workload, not this model, sets the clock)"
            )
        where = "learning.partition"
        learning.partition.shards(data, workers, Streams(scenario.seed).get("partition"))
    except DataError as error:
        yield where, str(error)
        return
    for part, wanted in (("stop", scenario.stop), ("evaluate", scenario.evaluate)):
        if data.classes is None and wanted.target_accuracy is not None:
            yield (
                f"{part}.target_accuracy",
                f"{data.name} is a regression problem and has no accuracy",
            )


def memory_needed(parameters: int, workers: int, data: Data) -> float:
    """Bytes that a run takes at the most: four rows per worker, its books, and the data."""
    row = parameters * data.dtype.itemsize
    return workers * (4.0 * row + 20_000) + 3.0 * data.x.nbytes


def memory_of_this_machine() -> float:
    """Bytes of physical memory."""
    return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
