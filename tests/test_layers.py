"""Imports go downwards only, and what is forbidden everywhere stays out."""

import ast
import inspect
import re
import statistics
from pathlib import Path

import pytest

from simulator.algorithms import ALGORITHMS

ROOT = Path(__file__).parents[1]
PACKAGES = ("simulator", "topologies", "scenarios", "analysis")
FILES = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]

# Each layer may import itself and the layers named here.
BOTTOM = (
    "simulator.units",
    "simulator.errors",
    "simulator.registry",
    "simulator.columns",
    "simulator.compiling",
)
MAY_IMPORT = {
    "simulator.units": BOTTOM,
    "simulator.errors": BOTTOM,
    "simulator.registry": BOTTOM,
    "simulator.columns": BOTTOM,
    "simulator.compiling": BOTTOM,
    "simulator.engine": BOTTOM,
    "simulator.network": (*BOTTOM, "simulator.engine"),
    "simulator.learning": (*BOTTOM, "simulator.engine"),
    "topologies": BOTTOM,
    "scenarios": (),
    "simulator.cluster": (*BOTTOM, "simulator.engine", "simulator.network", "simulator.learning"),
    "simulator.algorithms": (
        *BOTTOM,
        "simulator.engine",
        "simulator.network",
        "simulator.learning",
        "simulator.cluster",
    ),
    "simulator.experiment": (
        *BOTTOM,
        "simulator.engine",
        "simulator.network",
        "simulator.learning",
        "simulator.cluster",
        "simulator.algorithms",
        "topologies",
        "scenarios",
    ),
    "analysis": (),
    "simulator.cli": (*BOTTOM, "simulator.experiment", "analysis", "scenarios"),
    "simulator": ("simulator.experiment",),
    "simulator.__main__": ("simulator.cli",),
}


def layer(module):
    """The layer that *module* belongs to."""
    parts = module.split(".")
    return next(
        name
        for length in range(len(parts), 0, -1)
        if (name := ".".join(parts[:length])) in MAY_IMPORT
    )


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module, node.lineno
            if node.module == "simulator":
                for alias in node.names:
                    yield f"simulator.{alias.name}", node.lineno
        elif isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno


def violations(path, module):
    own = layer(module)
    for name, line in imported(path):
        if name == "simulator" or name.split(".")[0] not in PACKAGES:
            continue
        target = layer(name)
        if target != own and target not in MAY_IMPORT[own]:
            yield f"{path.relative_to(ROOT)}:{line}: {own} may not import {name}"


def module_of(path):
    parts = list(path.relative_to(ROOT).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_go_downwards_only():
    assert [v for path in FILES for v in violations(path, module_of(path))] == []


def test_an_upward_import_is_found(tmp_path, monkeypatch):
    bad = tmp_path / "bad.py"
    bad.write_text("from simulator.cluster import Worker\n")
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    assert len(list(violations(bad, "simulator.network.bad"))) == 1


FORBIDDEN = {
    "global randomness": r"^\s*(import|from) random|np\.random\.(?!Generator|default_rng|SeedSeq)",
    "hash() as a number": r"(?<![\w.])hash\(",
    "wall-clock time": r"time\.time\(|datetime\.now\(\)",
    "pickle": r"pickle(?!=False)|joblib\.load|allow_pickle=True",
    "code from text": r"(?<![\w.])(eval|exec)\(",
    "shell": r"shell=True|os\.system",
    "unsafe YAML": r"yaml\.(unsafe_)?load\(|typ=.unsafe",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_forbidden_constructs(what):
    """E04 and S11: nothing in the packages that makes runs differ or runs foreign code."""
    allowed = ("YAML(typ=", "PCG64")
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(FORBIDDEN[what], line.split("#")[0])
        and not any(a in line for a in allowed)
        and '"""' not in line
    ]
    assert found == []


def sets_iterated(tree):
    for node in ast.walk(tree):
        loops = [node.iter] if isinstance(node, ast.For | ast.comprehension) else []
        for loop in loops:
            if isinstance(loop, ast.Set | ast.SetComp) or (
                isinstance(loop, ast.Call) and getattr(loop.func, "id", "") in ("set", "frozenset")
            ):
                yield loop.lineno


def test_no_iteration_over_sets():
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in FILES
        for line in sets_iterated(ast.parse(path.read_text()))
    ]
    assert found == []


def test_files_stay_short():
    """A file of more than 350 lines is two files."""
    assert [str(path) for path in FILES if len(path.read_text().splitlines()) > 350] == []


def test_algorithms_read_like_their_papers():
    """None is longer than 130 lines with its docstrings, and half of them than 80."""
    lengths = sorted(
        len(Path(inspect.getfile(cls)).read_text().splitlines()) for cls in ALGORITHMS.values()
    )
    assert lengths[-1] <= 130
    assert statistics.median(lengths) <= 80
