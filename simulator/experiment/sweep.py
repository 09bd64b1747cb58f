"""Sweeps: one scenario, some settings varied, several seeds; the runs one after the other."""

from __future__ import annotations

import io
import json
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

from simulator.errors import InvalidInput, Problem, ScenarioError, printable
from simulator.experiment.document import Document, parse_value
from simulator.experiment.loading import Override, apply_overrides, check
from simulator.experiment.measure import measured
from simulator.experiment.scenario import Scenario
from simulator.experiment.store import finished, save, table_text, write_text


@dataclass(frozen=True)
class Sweep:
    """A scenario and the axes along which it is varied.

    Attributes
    ----------
    document
        The scenario as it was read.
    overrides
        Settings that hold for all runs; as everywhere, kinds are chosen first.
    axes
        Values by dotted path, in the order in which they vary (the last one fastest).
    seeds
        Seeds 0..seeds-1; None keeps the scenario's own.  Equal seeds share all
        randomness, whatever else differs.
    allow_outside
        See `simulator.experiment.scenario.load`.
    """

    document: Document
    overrides: Sequence[Override] = ()
    axes: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    seeds: int | None = None
    allow_outside: bool = False

    def scenarios(self, notes: list[str] | None = None) -> list[Scenario]:
        """Every combination, checked; *notes* receives what a user should know.

        Raises
        ------
        ScenarioError
            With the mistakes of all combinations.
        """
        found: list[Scenario] = []
        problems: dict[Problem, None] = {}
        remarks: list[str] = []
        axes = dict(self.axes) | ({} if self.seeds is None else {"seed": range(self.seeds)})
        for values in product(*axes.values()):
            document = deepcopy(self.document)
            varied = [
                Override(path, value, f"--grid {path}={value}")
                for path, value in zip(axes, values, strict=True)
            ]
            apply_overrides(document, [*self.overrides, *varied], remarks)
            try:
                found.append(check(document, self.allow_outside))
            except ScenarioError as error:
                problems |= dict.fromkeys(error.problems)
        if problems:
            raise ScenarioError(list(problems))
        if notes is not None:
            notes.extend(dict.fromkeys(remarks))
        return found


def axis(text: str) -> tuple[str, list[Any]]:
    """Read ``a.b=v1,v2``.

    >>> axis("algorithm.kind=sync-sgd,async-ps")
    ('algorithm.kind', ['sync-sgd', 'async-ps'])
    """
    path, separator, values = text.partition("=")
    if not separator or not path or not values:
        raise ScenarioError(
            [
                Problem(
                    f"--grid {printable(text)}",
                    "",
                    "expected path=value,value, such as algorithm.kind=sync-sgd,async-ps",
                )
            ]
        )
    return path, parse_value(f"[{values}]", f"--grid {text}")


def axes_of(texts: Sequence[str], seeds: int | None) -> dict[str, list[Any]]:
    """Axes of several ``a.b=v1,v2``; each setting may be varied once.

    Raises
    ------
    ScenarioError
        If a setting is varied twice, or a value is missing.
    """
    axes: dict[str, list[Any]] = {}
    for path, values in map(axis, texts):
        if path in axes or (path == "seed" and seeds is not None):
            raise ScenarioError([Problem("--grid", path, "is varied twice; give all values once")])
        if None in values or not values:
            raise ScenarioError([Problem("--grid", path, "has an empty value")])
        axes[path] = values
    return axes


@dataclass(frozen=True)
class Entry:
    """What became of one run of a sweep: its folder, or why there is none."""

    scenario: Scenario
    folder: Path | None
    reused: bool = False
    error: str = ""


def execute(
    scenarios: Sequence[Scenario], out: Path, report: Callable[[Entry], None] = lambda entry: None
) -> list[Entry]:
    """Run *scenarios* one after the other; finished ones are reused, a failed one is noted."""
    entries = []
    for scenario in scenarios:
        entries.append(_one(scenario, out))
        report(entries[-1])
    return entries


def _one(scenario: Scenario, out: Path) -> Entry:
    if (folder := finished(out, scenario)) is not None:
        return Entry(scenario, folder, reused=True)
    try:
        result, volatile = measured(scenario)
        return Entry(scenario, save(result, out, volatile=volatile))
    except InvalidInput:  # a full disk would fail the other runs too
        raise
    except Exception:  # one broken run must not cost the others
        return Entry(scenario, None, error=traceback.format_exc(limit=5))


def write_sweep(out: Path, sweep: Sweep) -> None:
    """Write ``sweep.yaml``: the scenario and its axes."""
    from ruamel.yaml import YAML

    stream = io.StringIO()
    axes = {path: list(values) for path, values in sweep.axes.items()}
    YAML(pure=True).dump(
        {"scenario": sweep.document.data, "sweep": {"grid": axes, "seeds": sweep.seeds}}, stream
    )
    write_text(out / "sweep.yaml", stream.getvalue())


def write_index(out: Path, entries: Sequence[Entry]) -> None:
    """Write ``index.csv``: one row per run, settings by dotted path, then the summary."""
    rows = [dict(_index_row(out, entry)) for entry in entries]
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_text(
        out / "index.csv",
        table_text({name: [str(row.get(name, "")) for row in rows] for name in names}),
    )


def _index_row(out: Path, entry: Entry) -> Iterator[tuple[str, Any]]:
    yield "run", entry.folder.relative_to(out).as_posix() if entry.folder else ""
    yield "config_hash", entry.scenario.config_hash()
    yield from flat(entry.scenario.resolved(units=False))
    if entry.folder is None:
        yield "status", "failed"
        return
    summary = json.loads((entry.folder / "summary.json").read_text())
    for name, value in flat(summary):
        yield (
            name if name not in ("seed", "algorithm") else f"summary.{name}",
            "" if value is None else value,
        )


def flat(data: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Nested settings as dotted paths; lists of plain values as JSON.

    >>> dict(flat({"a": {"b": 1}, "c": [1, 2], "d": [{"e": 3}]}))
    {'a.b': 1, 'c': '[1, 2]', 'd.0.e': 3}
    """
    for key, value in data.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value):
            yield from flat(
                {str(number): entry for number, entry in enumerate(value)}, f"{prefix}{key}."
            )
        else:
            yield prefix + key, json.dumps(value) if isinstance(value, list) else value
