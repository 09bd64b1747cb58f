"""Shipped scenarios, by name: ``quickstart``, ``slow-network`` and so on."""

from __future__ import annotations

from pathlib import Path


def _files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(Path(__file__).parent.rglob("*.yaml"))}


def names() -> list[str]:
    """Names of all shipped scenarios, in alphabetical order."""
    return sorted(_files())


def path(name: str) -> Path:
    """File of the shipped scenario *name*."""
    return _files()[name]
