"""Explanations: what pydantic found, in the words of someone who wants to help."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

from simulator.algorithms import ALGORITHMS, BASES
from simulator.algorithms.base import EVERYTHING
from simulator.errors import Problem, ScenarioError, printable, suggestion
from simulator.experiment.document import Document
from simulator.learning.optimizers import SGD

Loc = Sequence[str | int]

OPTIMIZER_SETTINGS = tuple(item.name for item in fields(SGD))

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "text",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "dict_type": "a mapping",
    "none_required": "null",
}


def validate(model: type[BaseModel], document: Document) -> Any:
    """Validated settings of *document*.

    Raises
    ------
    ScenarioError
        With one located problem per mistake.
    """
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        raise ScenarioError(sorted(_problems(model, document, error), key=_position)) from None


def _position(problem: Problem) -> list[int]:
    """Line and column as numbers; options come first, in their order."""
    numbers = problem.place.rsplit(":", 2)[1:]
    return [int(number) for number in numbers if number.isdigit()]


def _problems(
    model: type[BaseModel], document: Document, error: ValidationError
) -> Iterator[Problem]:
    seen = set()
    for item in error.errors(include_url=False):
        path, parent = _path(document.data, item["loc"]), item["loc"][:-1]
        message = _message(model, parent, dict(item))
        place = document.place([*path, "kind"] if item["type"] == "union_tag_invalid" else path)
        problem = Problem(place, ".".join(map(str, path)), message)
        if (problem.path, item["type"]) not in seen:  # a union reports per member
            seen.add((problem.path, item["type"]))
            yield problem


def _path(data: Any, loc: Loc) -> list[str | int]:
    """*loc* without the names that pydantic adds for members of unions."""
    path: list[str | int] = []
    for depth, key in enumerate(loc):
        last = depth == len(loc) - 1
        if isinstance(data, dict) and (key in data or last):
            path.append(key)
            data = data.get(key)
        elif isinstance(data, list) and isinstance(key, int) and key < len(data):
            path.append(key)
            data = data[key]
        elif last and isinstance(data, dict | list):
            path.append(key)
    return path


def _message(model: type[BaseModel], parent: Loc, item: dict[str, Any]) -> str:
    given, context, kind = printable(item["input"]), item.get("ctx", {}), item["type"]
    if kind == "extra_forbidden":
        name = str(item["loc"][-1])
        if parent[:1] == ("algorithm",) and name in OPTIMIZER_SETTINGS:
            return _of_the_optimizer(str(parent[-1]), name)
        return f"no such setting; {suggestion(name, known_names(model, parent))}"
    if kind == "missing":
        return "is missing"
    if kind == "union_tag_invalid":
        if context["tag"] in ALGORITHMS and item["loc"][0] == "algorithm":
            return (
                f"{context['tag']} cannot be the base of another method: only what takes the same "
                f"steps on all workers can, without a server, and remembers no more than "
                f"parameters and momentum; known: "
                f"{', '.join(sorted(BASES))}"
            )
        known = [name.strip(" '") for name in context["expected_tags"].split(",")]
        return f"no kind {printable(context['tag'])}; {suggestion(context['tag'], known)}"
    if kind == "union_tag_not_found":
        return f"needs a kind, not {given}"
    if kind == "literal_error":
        known = [name.strip(" '") for name in context["expected"].replace(" or ", ", ").split(",")]
        return f"no such choice {given}; {suggestion(str(item['input']), known)}"
    if kind == "value_error":
        return str(context["error"])
    if kind in _WANTED:
        return f"expected {_WANTED[kind]}, not {given}"
    if kind == "finite_number":
        return f"must be finite, not {given}"
    return f"{item['msg'].replace('Input should', 'must')}, not {given}"


def _of_the_optimizer(algorithm: str, name: str) -> str:
    """Why *name*, which `learning.optimizer` has, is no setting of *algorithm*."""
    cls = ALGORITHMS.get(algorithm)
    if cls is not None and name in EVERYTHING - cls.needs.optimizer:
        own = ", ".join(item.name for item in fields(cls))  # type: ignore[arg-type]
        return f"{algorithm} has no {name}: its specification is without ({cls.paper})" + (
            f"; its settings: {own}" if own else ""
        )
    return f"is no setting of {algorithm}; it is learning.optimizer.{name}"


def known_names(model: type[BaseModel], loc: Loc) -> list[str]:
    """Names of the settings at *loc*, where pydantic adds the kind behind a union's name."""
    candidates = [model]
    for key in loc:
        tagged = [one for one in candidates if _kind(one) == key]
        below = [
            inner
            for one in candidates
            if key in one.model_fields
            for inner in _models(one.model_fields[str(key)].annotation)
        ]
        candidates = (tagged if len(candidates) > 1 else below) or candidates
    return sorted({name for one in candidates for name in one.model_fields})


def _kind(model: type[BaseModel]) -> str | None:
    field = model.model_fields.get("kind")
    return field.default if field else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Every model inside *annotation*."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in get_args(annotation):
        yield from _models(part)
