"""Loading: a scenario file and what the command line adds become a checked `Scenario`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

import scenarios
from simulator.errors import (
    Problem,
    ScenarioError,
    printable,
    suggestion,
)
from simulator.experiment.combinations import impossible
from simulator.experiment.document import Document, keys_of, parse_value, read
from simulator.experiment.explain import known_names, validate
from simulator.experiment.resizing import located, resize
from simulator.experiment.scenario import Scenario
from simulator.experiment.settings import settings_for

Rules = Callable[[Scenario], Iterable[tuple[str, str]]]


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
    """Apply settings to *document*, those that choose a kind first, whole blocks before parts."""
    kinds = [one.path for one in overrides if one.path.endswith("kind")]

    def late(one: Override) -> tuple[bool, int]:
        chooses = one.path.endswith("kind") or any(k.startswith(f"{one.path}.") for k in kinds)
        return not chooses, one.path.count(".") if chooses else 0

    for override in sorted(overrides, key=late):
        dropped = document.set(override.path, override.value, override.origin, _kept(override))
        if dropped and notes is not None:
            notes.append(
                f"{override.origin}: dropped {', '.join(dropped)}, which belonged to "
                "the kind that was replaced"
            )


def _kept(override: Override) -> list[str]:
    """Settings that stay when a kind is replaced: those that the new kind has too.

    An algorithm begins with its own defaults, so that any two are compared on equal terms.
    """
    *block, last = override.path.split(".")
    if last != "kind" or block == ["algorithm"] or not isinstance(override.value, str):
        return []
    return known_names(settings_for(Scenario), [*block, override.value])


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


def check(document: Document, allow_outside: bool = False, rules: Rules = impossible) -> Scenario:
    """Validate *document* and look for combinations that cannot be run, by *rules*.

    Raises
    ------
    ScenarioError
        With all mistakes at once.
    """
    resize(document)
    try:
        scenario = _built(_settings(document), document, allow_outside)
    except ScenarioError as error:
        model = settings_for(Scenario)
        # What is left without the wrong settings may still ask for the impossible.
        rest = deepcopy(document)
        for problem in error.problems:
            rest.remove(keys_of(problem.path))
        try:
            kept = _built(validate(model, rest), rest, allow_outside)
        except ScenarioError:
            raise error from None
        wrong = [problem.path for problem in error.problems]
        more = [
            problem
            for problem in _located(rules(kept), document)
            if not any(path.startswith(problem.path) for path in wrong)
        ]
        raise ScenarioError([*error.problems, *more]) from None
    if problems := _located(rules(scenario), document):
        raise ScenarioError(problems)
    return scenario


def _settings(document: Document) -> Any:
    """Validated settings; most documents name few of all kinds, and need models of no others."""
    few = settings_for(Scenario, None, frozenset(_words(document.data)))
    try:
        return few.model_validate(document.data)
    except ValidationError:  # to be explained with all kinds at hand
        return validate(settings_for(Scenario), document)


def _words(data: Any) -> Iterator[str]:
    """All texts in *data*, of which some are kinds."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict | list):
        for value in data.values() if isinstance(data, dict) else data:
            yield from _words(value)


def _built(settings: Any, document: Document, allow_outside: bool) -> Scenario:
    scenario: Scenario = settings.build()
    return replace(
        scenario,
        topology=located(scenario.topology, document),
        folder=document.folder,
        allow_outside=allow_outside,
    )


def _located(found: Iterable[tuple[str, str]], document: Document) -> list[Problem]:
    return [document.problem(keys_of(path), message) for path, message in found]
