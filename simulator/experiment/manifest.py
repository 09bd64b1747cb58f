"""The manifest of a run: versions, origin, hashes of every output, and what is volatile."""

from __future__ import annotations

import hashlib
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from simulator.experiment.result import Result
from simulator.experiment.scenario import MODEL_VERSION, SCHEMA_VERSION

PACKAGES = ("paceline", "numpy", "simpy", "networkx", "pydantic", "scikit-learn")


def manifest(
    result: Result, files: Mapping[str, bytes], volatile: Mapping[str, Any]
) -> dict[str, Any]:
    """Contents of ``manifest.json``."""
    scenario = result.scenario
    return {
        "schema_version": SCHEMA_VERSION,
        "status": result.summary["status"],
        "name": scenario.name,
        "seed": scenario.seed,
        "config_hash": scenario.config_hash(),
        "scenario": scenario.resolved(units=False),
        "model_version": MODEL_VERSION,
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in PACKAGES},
        },
        "platform": f"{sys.platform}-{platform.machine()}",
        "git": _git(),
        **result.details,
        "warnings": list(result.warnings),
        "outputs": {
            name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
            for name, content in files.items()
        },
        "volatile": dict(volatile),
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    """Commit of the source tree and whether it was changed; None outside a checkout."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:

        def ask(*words: str) -> str:
            return subprocess.run(
                ["git", "-C", str(root), *words],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            ).stdout.strip()

        return {
            "commit": ask("rev-parse", "HEAD"),
            "changed": bool(ask("status", "--porcelain", "--untracked-files=no")),
        }
    except (OSError, subprocess.SubprocessError):
        return None
