"""What can go wrong, as one small tree of exceptions.

::

    SimulatorError
    ├── InvalidInput          what the user gave does not say what to run (exit code 2)
    │   ├── SettingError      a setting whose text means nothing
    │   │   └── QuantityError a number with a unit that cannot be read
    │   ├── ScenarioError     one or more located problems of a scenario
    │   ├── TopologyError     a graph that is no cluster
    │   ├── DataError         a data set that cannot be learned from
    │   └── StoreError        a result folder that cannot be read or written
    ├── ClockError            the engine would have gone back in time (a bug)
    └── GroupError            ranks disagree about the collective that they call (a bug)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class SimulatorError(Exception):
    """Root of everything that this program raises on purpose."""


class InvalidInput(SimulatorError):
    """The input is at fault, not the program; the message names the place and the remedy."""


class SettingError(InvalidInput, ValueError):
    """A setting whose text means nothing: an unknown name, numbers that are none."""


class QuantityError(SettingError):
    """A quantity that cannot be read: unknown unit, wrong dimension, negative or not finite."""


class TopologyError(InvalidInput):
    """A graph that does not describe a cluster."""


class DataError(InvalidInput):
    """A data set that is missing, malformed or not finite."""


class StoreError(InvalidInput):
    """A result folder that is missing, damaged or cannot be written."""


class ClockError(SimulatorError):
    """An event lies in the past or at no time at all."""


class GroupError(SimulatorError):
    """The n-th calls of the ranks of a group are different operations."""


@dataclass(frozen=True)
class Problem:
    """One mistake in a scenario.

    Attributes
    ----------
    place
        ``file:line:col`` or the command-line option that brought the value.
    path
        Dotted path of the setting, such as ``learning.optimizer.lr``.
    message
        What is wrong, what was given and what would be right.
    """

    place: str
    path: str
    message: str

    def __str__(self) -> str:
        parts = (escaped(self.place), escaped(self.path), self.message)
        return ": ".join(part for part in parts if part)


class ScenarioError(InvalidInput):
    """Every problem of a scenario at once, the first twenty in words."""

    shown = 20

    def __init__(self, problems: Sequence[Problem]):
        super().__init__(tuple(problems))
        self.problems = tuple(problems)

    def __str__(self) -> str:
        lines = [str(problem) for problem in self.problems[: self.shown]]
        if (hidden := len(self.problems) - self.shown) > 0:
            lines.append(f"... and {hidden} more problems")
        return "\n".join(lines)


def escaped(text: str) -> str:
    """*text* with control characters shown as escapes, on one line.

    >>> escaped("a\\nb")
    'a\\\\nb'
    """
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def suggestion(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was probably meant.

    >>> suggestion("momentun", ["lr", "momentum"])
    "did you mean 'momentum'?"
    >>> suggestion("x", ["lr", "momentum"])
    'known: lr, momentum'
    """
    names = sorted(known)
    near = get_close_matches(name, names, 1)
    return f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"


def printable(value: object, limit: int = 80) -> str:
    """*value* as it may be shown on a terminal: control characters escaped, long text cut.

    >>> printable("a\\x1b[31m")
    "'a\\\\x1b[31m'"
    """
    text = repr(value)
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
