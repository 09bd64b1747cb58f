"""References: which files a scenario may name."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from simulator.errors import DataError, printable

ROOT_MARKS = ("pyproject.toml", ".git")


def project_root(folder: Path) -> Path:
    """The nearest folder above *folder* that holds a project, or *folder* itself."""
    folder = folder.resolve()
    for candidate in (folder, *folder.parents):
        if any((candidate / mark).exists() for mark in ROOT_MARKS):
            return candidate
    return folder


def resolve(reference: str, folder: Path, allow_outside: bool) -> Path:
    """File that *reference* in a scenario in *folder* means.

    Raises
    ------
    DataError
        If it is no regular file or lies outside the project.
    """
    if "://" in reference:
        raise DataError(f"{printable(reference)} is an address; only local files are read")
    path = (folder / reference).resolve()
    root = project_root(folder)
    if not allow_outside and not path.is_relative_to(root):
        raise DataError(
            f"{printable(reference)} lies outside {printable(str(root))}; move it there "
            "or give --allow-outside"
        )
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (OSError, ValueError):
        raise DataError(f"{printable(reference)} does not exist or cannot be read") from None
    if not regular:
        raise DataError(f"{printable(reference)} is no regular file")
    return path


def blocks_with_files(data: Any) -> Iterator[dict[str, Any]]:
    """Every mapping inside plain *data* that names a file as its `path`."""
    if isinstance(data, dict):
        if data.get("path"):
            yield data
        for part in data.values():
            yield from blocks_with_files(part)
    elif isinstance(data, list):
        for part in data:
            yield from blocks_with_files(part)


def with_files(part: Any, found: Callable[[str], str]) -> Any:
    """A dataclass, and all below it, with every `path` replaced by what *found* gives for it."""
    if isinstance(part, tuple):
        return tuple(with_files(entry, found) for entry in part)
    if not dataclasses.is_dataclass(part) or isinstance(part, type):
        return part
    changes = {}
    for item in dataclasses.fields(part):
        value = getattr(part, item.name)
        new = found(value) if item.name == "path" and value else with_files(value, found)
        if new is not value and new != value:
            changes[item.name] = new
    return dataclasses.replace(part, **changes) if changes else part
