"""References: which files a scenario may name."""

from __future__ import annotations

import stat
from pathlib import Path

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
