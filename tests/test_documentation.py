"""What the documentation must name; that its code blocks run is checked by tests/docs.py."""

import re
from pathlib import Path

from simulator.algorithms import ALGORITHMS
from simulator.cli import cli

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def test_readme_names_every_algorithm_with_its_status():
    for name, cls in ALGORITHMS.items():
        row = next(line for line in README.splitlines() if line.startswith(f"| `{name}`"))
        assert cls.paper in row
        assert cls.specification in row


def test_readme_names_every_command():
    assert all(f"paceline {name}" in README for name in cli.commands)


def test_tests_that_the_documentation_names_exist():
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for name in re.findall(r"`(test_[a-z0-9_]+)`", page.read_text()):
            assert f"def {name}(" in tests, f"{page.name}: {name}"


def test_links_lead_somewhere():
    for page in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_public_functions_and_classes_are_documented():
    """Every public module, class and function of the packages has a docstring."""
    import ast

    missing = []
    for package in ("simulator", "topologies", "scenarios", "analysis"):
        for path in (ROOT / package).rglob("*.py"):
            tree = ast.parse(path.read_text())
            nodes = [
                tree,
                *(
                    n
                    for n in tree.body
                    if isinstance(n, ast.ClassDef | ast.FunctionDef) and n.name[0] != "_"
                ),
            ]
            missing += [
                f"{path.relative_to(ROOT)}: {getattr(n, 'name', 'module')}"
                for n in nodes
                if not ast.get_docstring(n)
            ]
    assert missing == []
