"""Who sits where, and settings that name some of the workers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from annotated_types import Ge, Le

from simulator.errors import InvalidInput, SettingError, printable

LARGEST_NUMBER = 10_000_000


@dataclass(frozen=True)
class Layout:
    """Places of the workers.

    Attributes
    ----------
    hosts
        Number of the host of every worker, in rank order.
    racks
        Number of the rack of every worker: hosts on the same first switch share one.
    host_nodes
        Name of every host.
    """

    hosts: tuple[int, ...]
    racks: tuple[int, ...]
    host_nodes: tuple[str, ...] = ()

    @property
    def workers(self) -> int:
        """How many there are."""
        return len(self.hosts)

    def numbers(self, of: Of) -> tuple[int, ...]:
        """For every worker its own number, its host's or its rack's."""
        if of == "workers":
            return tuple(range(self.workers))
        return self.hosts if of == "hosts" else self.racks

    def count(self, of: Of) -> int:
        """How many workers, hosts or racks there are."""
        return max(self.numbers(of)) + 1

    def on_host(self, host: int) -> list[int]:
        """Ranks of the workers on *host*."""
        return [rank for rank, number in enumerate(self.hosts) if number == host]


Of: TypeAlias = Literal["workers", "hosts", "racks"]


def read_numbers(value: Any) -> Any:
    """Numbers given as a list, as one number, or as text with ranges.

    >>> read_numbers("0-3, 8"), read_numbers([1, 2]), read_numbers(5)
    ((0, 1, 2, 3, 8), (1, 2), (5,))
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return (value,)
    if not isinstance(value, str):
        return tuple(value) if isinstance(value, list) else value
    found: list[int] = []
    for part in value.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not (first.isdecimal() and (last.isdecimal() if dash else not last)):
            raise SettingError(f"{printable(value)} names nothing; expected such as '0-3, 8'")
        begin, end = int(first), int(last or first)
        if not begin <= end <= LARGEST_NUMBER:
            raise SettingError(f"{printable(value)}: {begin}-{end} is no range")
        found += range(begin, end + 1)
    return tuple(dict.fromkeys(found))


class _Numbers:
    """Marks a setting as numbers of things; pydantic calls the two hooks."""

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(read_numbers, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        whole = {"type": "integer", "minimum": 0}
        return {
            "anyOf": [whole, {"type": "string"}, {"type": "array", "items": whole}],
            "description": "numbers from 0 on",
            "examples": ["0-3, 8"],
        }


Numbers: TypeAlias = Annotated[tuple[Annotated[int, Ge(0)], ...], _Numbers()]


def misnumbered(numbers: Sequence[int], count: int, noun: str) -> str | None:
    """What is wrong with *numbers* of *count* things called *noun*, if anything is.

    >>> misnumbered([1, 9], 8, "worker")
    'there is no worker 9; the 8 workers are 0..7'
    """
    outside = [number for number in numbers if number >= count]
    if not outside:
        return None
    are = f"the {count} {noun}s are 0..{count - 1}" if count > 1 else f"the only {noun} is 0"
    return f"there is no {noun} {outside[0]}; {are}"


@dataclass(frozen=True, kw_only=True)
class Some:
    """Some of the workers: by rank, by host, by rack, or so many chosen at random.

    Exactly one of `workers`, `hosts`, `racks`, `count` and `fraction` says which; the
    latter two choose at random among the workers, or among what `of` names, one at the
    least for a positive fraction.
    """

    workers: Numbers | None = None
    hosts: Numbers | None = None
    racks: Numbers | None = None
    count: Annotated[int, Ge(0)] | None = None
    fraction: Annotated[float, Ge(0), Le(1)] | None = None
    of: Of = "workers"

    def check_on(self, layout: Layout) -> None:
        """Refuse what is not there.

        Raises
        ------
        InvalidInput
            If not exactly one choice is given, or a number is too large.
        """
        choices = ("workers", "hosts", "racks", "count", "fraction")
        given = [name for name in choices if getattr(self, name) is not None]
        if len(given) != 1:
            raise InvalidInput(
                f"give exactly one of {', '.join(choices)}; given: {', '.join(given) or 'none'}"
            )
        for of in ("workers", "hosts", "racks"):
            if problem := misnumbered(getattr(self, of) or (), layout.count(of), of[:-1]):
                raise InvalidInput(problem)
        units = layout.count(self.of)
        if (self.count or 0) > units:
            raise InvalidInput(f"count is {self.count} but there are only {units} {self.of}")

    def chosen(self, layout: Layout, rng: np.random.Generator) -> list[int]:
        """Their ranks, in order."""
        for of in ("workers", "hosts", "racks"):
            wanted = getattr(self, of)
            if wanted is not None:
                return ranks_of(layout, of, wanted)
        units = layout.count(self.of)
        share = self.fraction or 0.0
        count = self.count if self.count is not None else max(round(share * units), share > 0)
        return ranks_of(layout, self.of, rng.permutation(units)[:count].tolist())


@dataclass(frozen=True, kw_only=True)
class SomeOrAll(Some):
    """Some of the workers, or all of them where nothing is chosen."""

    def check_on(self, layout: Layout) -> None:
        """Refuse what is not there; nothing chosen means everybody."""
        if self._chooses():
            super().check_on(layout)

    def _chooses(self) -> bool:
        names = [item.name for item in fields(Some) if item.name != "of"]
        return any(getattr(self, name) is not None for name in names)

    def chosen(self, layout: Layout, rng: np.random.Generator) -> list[int]:
        """Their ranks, in order."""
        return super().chosen(layout, rng) if self._chooses() else list(range(layout.workers))


def ranks_of(layout: Layout, of: Of, wanted: Sequence[int]) -> list[int]:
    """Ranks of the workers whose number among *of* is one of *wanted*."""
    known = dict.fromkeys(wanted)
    return [rank for rank, number in enumerate(layout.numbers(of)) if number in known]
