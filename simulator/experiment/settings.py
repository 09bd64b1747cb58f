"""Settings models: pydantic models derived from the frozen dataclasses of all layers.

A dataclass says once what a part can be told; its fields, constraints and units become
a strict model here, its registry a union that `kind` tells apart.  pydantic stays at
this border: `build` turns validated settings into the dataclass again.
"""

from __future__ import annotations

import dataclasses
import types
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model

from simulator.registry import Registry, summary
from simulator.units import Unit, show


class Settings(BaseModel):
    """A strict, frozen model of one dataclass."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)
    describes: ClassVar[type]

    def build(self) -> Any:
        """The dataclass instance that these settings describe."""
        names = (field.name for field in settable(self.describes))
        return self.describes(**{name: _built(getattr(self, name)) for name in names})


def _built(value: Any) -> Any:
    if isinstance(value, Settings):
        return value.build()
    return tuple(map(_built, value)) if isinstance(value, tuple) else value


def settable(cls: type) -> list[dataclasses.Field[Any]]:
    """Fields of a dataclass that a scenario may set."""
    return [field for field in dataclasses.fields(cls) if not field.metadata.get("internal")]


def settings_for(
    cls: type, defaults: Any = None, only: frozenset[str] | None = None
) -> type[Settings]:
    """The settings model of dataclass *cls*, the same one at every call.

    Parameters
    ----------
    cls
        A frozen dataclass; with a `kind` if it is registered.
    defaults
        Instance that supplies defaults to fields that have none of their own.
    only
        Kinds that are possible beside the default ones; None for all.  A model of few kinds
        is made in a fraction of the time.
    """
    return _derived(cls, defaults, only)


@cache
def _derived(cls: type, defaults: Any, only: frozenset[str] | None) -> type[Settings]:
    hints = get_type_hints(cls, include_extras=True)
    fields: dict[str, Any] = {}
    if kind := getattr(cls, "kind", None):
        fields["kind"] = (Literal[kind], kind)
    for item in settable(cls):
        default = _default(item, defaults)
        annotation = _annotation(hints[item.name], default, only)
        fields[item.name] = (annotation, _as_settings(annotation, default, only))
    model = create_model(cls.__name__, __base__=Settings, __doc__=summary(cls), **fields)
    model.describes = cls
    return model


def _default(item: dataclasses.Field[Any], defaults: Any) -> Any:
    if item.default is not dataclasses.MISSING:
        return item.default
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return ... if defaults is None else getattr(defaults, item.name)


def _annotation(hint: Any, default: Any, only: frozenset[str] | None) -> Any:
    """The type that pydantic checks for a dataclass field of type *hint*."""
    registry = next((m for m in getattr(hint, "__metadata__", ()) if isinstance(m, Registry)), None)
    if registry is not None:
        return _union(registry, getattr(type(default), "kind", None), only)
    if dataclasses.is_dataclass(hint):
        given = default if dataclasses.is_dataclass(default) else None
        model = settings_for(hint, given, only)  # type: ignore[arg-type]
        return Annotated[model, BeforeValidator(_nothing)] if default is not None else model
    if get_origin(hint) is tuple:
        inner: Any = _annotation(get_args(hint)[0], None, only)
        return Annotated[tuple.__class_getitem__((inner, ...)), BeforeValidator(_tuple)]
    if get_origin(hint) in (Union, types.UnionType):
        return Union[tuple(_annotation(part, None, only) for part in get_args(hint))]  # noqa: UP007
    return hint


def _tuple(value: Any) -> Any:
    return () if value == "none" else tuple(value) if isinstance(value, list) else value


def _nothing(value: Any) -> Any:
    """`none` is short for a block that says nothing."""
    return {} if value == "none" else value


def _union(registry: Registry[Any], default_kind: str | None, only: frozenset[str] | None) -> Any:
    """Any class of *registry*; text is short for ``{kind: text}``."""
    constant, usual = registry.get("constant"), {default_kind, "constant"}
    wanted = [k for k in registry if only is None or k in only or k in usual]
    if len(wanted) < 2:  # where there is a choice, it has to be made
        wanted = list(dict.fromkeys([*wanted, *registry]))[:2]
    models = tuple(settings_for(registry[kind], None, only) for kind in wanted)
    takes_value = constant is not None and any(f.name == "value" for f in settable(constant))

    def expand(value: Any) -> Any:
        plain = isinstance(value, str | int | float)
        if takes_value and plain and value not in registry:
            return {"kind": "constant", "value": value}
        if isinstance(value, str):
            return {"kind": value}
        if isinstance(value, dict) and "kind" not in value and default_kind:
            return {"kind": default_kind, **value}
        return value

    if len(models) == 1:
        return Annotated[models[0], BeforeValidator(expand)]
    return Annotated[Union[models], Field(discriminator="kind"), BeforeValidator(expand)]  # noqa: UP007


def _as_settings(annotation: Any, default: Any, only: frozenset[str] | None) -> Any:
    """*default* as an instance of the settings model that *annotation* allows."""
    if isinstance(default, tuple):
        return default
    if not dataclasses.is_dataclass(default) or isinstance(default, type):
        return default
    model = settings_for(type(default), None if hasattr(default, "kind") else default, only)
    hints = get_type_hints(type(default), include_extras=True)
    values = {
        item.name: _as_settings(hints[item.name], getattr(default, item.name), only)
        for item in settable(type(default))
    }
    return model.model_construct(**values)  # a default need not be checked


def dump(part: Any, *, units: bool) -> Any:
    """Plain data of a dataclass instance and everything below it.

    Parameters
    ----------
    part
        A registered or nested dataclass.
    units
        True: quantities as text with a unit, for people; False: SI numbers.
    """
    hints = get_type_hints(type(part), include_extras=True)
    data: dict[str, Any] = {"kind": part.kind} if hasattr(part, "kind") else {}
    for item in settable(type(part)):
        data[item.name] = _dumped(getattr(part, item.name), hints[item.name], units)
    return data


def _dumped(value: Any, hint: Any, units: bool) -> Any:
    if dataclasses.is_dataclass(value):
        return dump(value, units=units)
    if isinstance(value, tuple):
        inner = get_args(hint)[0] if get_args(hint) else Any
        return [_dumped(entry, inner, units) for entry in value]
    if value is not None and units and (unit := unit_of(hint)):
        return show(value, unit.symbol)
    return value


def unit_of(hint: Any) -> Unit | None:
    """The unit of a field, if it is a quantity."""
    for part in (hint, *get_args(hint)):
        for mark in getattr(part, "__metadata__", ()):
            if isinstance(mark, Unit):
                return mark
    return None
