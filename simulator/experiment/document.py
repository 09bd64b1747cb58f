"""Scenario files: YAML 1.2, guarded against hostile input, with the place of every value."""

from __future__ import annotations

import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from simulator.errors import InvalidInput, Problem, ScenarioError, printable

MAX_BYTES = 1 << 20
MAX_NODES = 10_000
MAX_DEPTH = 40
Key = tuple[str | int, ...]


@dataclass
class Document:
    """Plain data of a scenario, and where each value stands.

    Attributes
    ----------
    data
        Mappings, lists and scalars.
    source
        Name of the file, for messages.
    folder
        What relative paths in the file are relative to.
    places
        ``file:line:col`` of every path, or the option that set it.
    """

    data: dict[str, Any]
    source: str
    folder: Path
    places: dict[Key, str] = field(default_factory=dict)

    def place(self, path: Sequence[str | int]) -> str:
        """Where *path* stands, or the nearest thing above it that stands somewhere."""
        for length in range(len(path), -1, -1):
            if (found := self.places.get(tuple(path[:length]))) is not None:
                return found
        return self.source

    def problem(self, path: Sequence[str | int], message: str) -> Problem:
        return Problem(self.place(path), ".".join(map(str, path)), message)

    def set(self, path: str, value: Any, origin: str, keep: Sequence[str] = ()) -> list[str]:
        """Set *path* to *value*; returns the keys that a new `kind` has dropped.

        A new kind replaces its block, but for the settings named in *keep*.
        """
        keys = keys_of(path)
        node: Any = self.data
        for depth, key in enumerate(keys[:-1]):
            node = self._descend(node, key, keys[: depth + 1], origin)
        last = keys[-1]
        dropped: list[str] = []
        if last == "kind" and isinstance(node, dict) and node.get("kind") != value:
            dropped = [key for key in node if key != "kind" and key not in keep]
            for key in dropped:
                del node[key]
        self._assign(node, last, value, path, origin)
        self._mark(tuple(keys), value, origin)
        return dropped

    def remove(self, path: Sequence[str | int]) -> None:
        """Take out what stands at *path*, if anything does."""
        node: Any = self.data
        for key in path[:-1]:
            node = node[key] if _has(node, key) else None
        if path and isinstance(node, dict):
            node.pop(path[-1], None)

    def _descend(self, node: Any, key: str | int, path: Sequence[str | int], origin: str) -> Any:
        if isinstance(node, dict):
            if not isinstance(node.get(key), dict | list):  # absent, or short for {kind: ...}
                short = node.get(key)
                node[key] = {"kind": short} if isinstance(short, str) else {}
                self.places.setdefault(tuple(path), origin)
            return node[key]
        if isinstance(node, list) and isinstance(key, int) and key < len(node):
            return node[key]
        raise ScenarioError([Problem(origin, ".".join(map(str, path)), "there is no such place")])

    def _assign(self, node: Any, key: str | int, value: Any, path: str, origin: str) -> None:
        if isinstance(node, dict) or (
            isinstance(node, list) and isinstance(key, int) and key < len(node)
        ):
            node[key] = value  # type: ignore[index]
        else:
            raise ScenarioError([Problem(origin, path, "there is no such place")])

    def _mark(self, keys: Key, value: Any, origin: str) -> None:
        self.places[keys] = origin
        for path in [path for path in self.places if path[: len(keys)] == keys]:
            self.places[path] = origin


def keys_of(path: str) -> list[str | int]:
    """Keys of a dotted path; numbers are positions in lists.

    >>> keys_of("stragglers.0.factor")
    ['stragglers', 0, 'factor']
    """
    return [int(key) if key.isdigit() else key for key in path.split(".")]


def _has(node: Any, key: str | int) -> bool:
    if isinstance(node, dict):
        return key in node
    return isinstance(node, list) and isinstance(key, int) and key < len(node)


def read(path: Path) -> Document:
    """Read a scenario file.

    Raises
    ------
    ScenarioError
        If it is no regular file, too large, no UTF-8, no YAML, or uses what scenarios
        do not need: tags, deep nesting, thousands of nodes, duplicate keys.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise InvalidInput("is no regular file")
        with path.open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise InvalidInput(
                f"is larger than {MAX_BYTES >> 20} MiB; scenarios are short, put "
                "large data into a file that the scenario names"
            )
        if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
            raise InvalidInput("begins with a byte order mark; save it as plain UTF-8")
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ScenarioError(
            [Problem(str(path), "", f"is no UTF-8 text (byte {error.start}); save it as UTF-8")]
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ScenarioError([Problem(str(path), "", f"cannot be read: {reason}")]) from None
    except InvalidInput as error:
        raise ScenarioError([Problem(str(path), "", str(error))]) from None
    return parse(text, str(path), path.parent)


def parse(text: str, source: str, folder: Path) -> Document:
    """Read scenario *text*; *source* names it in messages."""
    loaded = _load(text, source)
    if not isinstance(loaded, CommentedMap):
        raise ScenarioError(
            [Problem(source, "", "is no mapping of settings such as 'algorithm: {kind: sync-sgd}'")]
        )
    document = Document({}, source, folder, {(): f"{source}:1:1"})
    document.data = _plain(loaded, (), document)
    return document


def parse_value(text: str, origin: str) -> Any:
    """Read one YAML value, as given on the command line."""
    loaded = _load(text, origin)
    return _plain(loaded, (), Document({}, origin, Path()))


def _load(text: str, source: str) -> Any:
    try:
        _guard(YAML(typ="rt", pure=True).parse(text), source)
        return YAML(typ="rt", pure=True).load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}:{mark.column + 1}" if mark else source
        reason = (error.problem or "is no YAML").splitlines()[0]
        raise ScenarioError(
            [Problem(place, "", f"{reason}; check indentation, quotes and brackets there")]
        ) from None
    except (YAMLError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ScenarioError([Problem(source, "", f"is no YAML: {printable(reason)}")]) from None


def _guard(events: Iterable[Any], source: str) -> None:
    """Refuse what makes YAML dangerous, before anything is built from it."""
    open_sizes: list[tuple[str | None, int]] = []
    sizes: dict[str, int] = {}
    nodes = 0
    for event in events:
        kind = type(event).__name__
        place = f"{source}:{event.start_mark.line + 1}:{event.start_mark.column + 1}"
        if getattr(event, "tag", None) and not _untagged(event):
            raise ScenarioError(
                [
                    Problem(
                        place,
                        "",
                        f"tag {printable(str(event.tag))} is not allowed; scenarios are plain data",
                    )
                ]
            )
        if kind == "AliasEvent":
            nodes += sizes.get(event.anchor, MAX_NODES)
        elif kind in ("ScalarEvent", "MappingStartEvent", "SequenceStartEvent"):
            nodes += 1
            if kind == "ScalarEvent":
                sizes[event.anchor] = 1
            else:
                open_sizes.append((event.anchor, nodes))
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            anchor, before = open_sizes.pop()
            if anchor:
                sizes[anchor] = nodes - before + 1
        if len(open_sizes) > MAX_DEPTH:
            raise ScenarioError([Problem(place, "", f"is nested deeper than {MAX_DEPTH} levels")])
        if nodes > MAX_NODES:
            raise ScenarioError(
                [
                    Problem(
                        place,
                        "",
                        f"has more than {MAX_NODES:,} values (aliases "
                        "counted in full); put large data into a file that the "
                        "scenario names",
                    )
                ]
            )


def _untagged(event: Any) -> bool:
    implicit = getattr(event, "implicit", None)
    return bool(implicit[0] or implicit[1] if isinstance(implicit, tuple) else implicit)


def _plain(node: Any, path: Key, document: Document) -> Any:
    """Ordinary dicts, lists and scalars; the places go into *document*."""
    if isinstance(node, CommentedMap):
        result: dict[str, Any] = {}
        for key, value in node.items():
            line, column = node.lc.key(key)
            document.places[(*path, str(key))] = f"{document.source}:{line + 1}:{column + 1}"
            result[str(key)] = _plain(value, (*path, str(key)), document)
        return result
    if isinstance(node, CommentedSeq):
        for index in range(len(node)):
            line, column = node.lc.item(index)
            document.places[(*path, index)] = f"{document.source}:{line + 1}:{column + 1}"
        return [_plain(value, (*path, index), document) for index, value in enumerate(node)]
    for kind in (bool, int, float, str):
        if isinstance(node, kind):
            return kind(node)
    return node
