"""Names for interchangeable parts: a registry maps the `kind` of a scenario to a class."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol, TypeVar, runtime_checkable

from simulator.errors import SettingError, printable, suggestion

Part = TypeVar("Part")
Registered = TypeVar("Registered", bound=type[Any])


class Registry(Mapping[str, type[Part]]):
    """Classes of one family by their name in scenarios, in order of registration.

    A registered class is a frozen dataclass; its fields are the settings that a
    scenario may give beside `kind`.

    Parameters
    ----------
    noun
        What the family is called in messages, such as ``"algorithm"``.

    >>> shapes = Registry("shape")
    >>> @shapes.register("square")
    ... class Square: ...
    >>> shapes["square"].kind, list(shapes)
    ('square', ['square'])
    """

    def __init__(self, noun: str):
        self.noun = noun
        self._classes: dict[str, type[Part]] = {}

    def register(self, name: str) -> Callable[[Registered], Registered]:
        """Class decorator that enters a class under *name*.

        Raises
        ------
        ValueError
            If another class has this name already.
        """

        def enter(cls: Registered) -> Registered:
            if name in self._classes:
                raise ValueError(f"there are two classes for {self.noun} {name!r}")
            cls.kind = name
            self._classes[name] = cls
            return cls

        return enter

    def __getitem__(self, name: str) -> type[Part]:
        return self._classes[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._classes)

    def __len__(self) -> int:
        return len(self._classes)

    # There is one registry of a family, so it can mark types that are put into unions.
    __hash__ = object.__hash__

    def __eq__(self, other: object) -> bool:
        return self is other


class Name:
    """Marks a setting as one of a mapping's names: ``Annotated[str, Name(PRESETS, "preset")]``.

    As with `units.Unit`, pydantic calls the two hooks.
    """

    def __init__(self, known: Mapping[str, Any], noun: str):
        self.known, self.noun = known, noun

    def read(self, value: Any) -> Any:
        if isinstance(value, str) and value not in self.known:
            raise SettingError(
                f"no {self.noun} {printable(value)}; {suggestion(value, self.known)}"
            )
        return value

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.known)}


@runtime_checkable
class Checked(Protocol):
    """A part that does not fit every cluster: `check` raises InvalidInput with the remedy."""

    def check(self, workers: int, hosts: int) -> None: ...


@runtime_checkable
class CheckedModel(Protocol):
    """A part that does not fit every model: `check_model` raises InvalidInput with the remedy."""

    def check_model(self, parameters: int) -> None: ...


def kind_of(part: object) -> str:
    """Name under which the class of *part* is registered."""
    return str(getattr(part, "kind"))  # noqa: B009 (set by `register`, unknown to types)


def summary(cls: type) -> str:
    """First line of a class's docstring."""
    return (cls.__doc__ or "").strip().splitlines()[0]
