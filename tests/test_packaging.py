"""What is shipped: the wheel from another folder, and a new algorithm as docs say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("simulator", "topologies", "scenarios", "analysis")


def python(*arguments, folder, path):
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(path)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_the_wheel_works_from_another_folder(tmp_path):
    """The folder `simulator/` of a checkout would hide a broken wheel."""
    wheels, site, elsewhere = (tmp_path / name for name in ("wheels", "site", "elsewhere"))
    source = tmp_path / "source"
    shutil.copytree(
        ROOT, source, ignore=shutil.ignore_patterns(".*", "demo", "out", "build", "*.egg-info")
    )
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(wheels), str(source)], check=True)
    wheel = next(wheels.glob("paceline-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", str(site), str(wheel)], check=True)
    assert {
        p.name for p in site.iterdir() if p.is_dir() and not p.name.endswith((".dist-info", "bin"))
    } == set(PACKAGES)
    elsewhere.mkdir()
    where = python(
        "-c",
        "import simulator, analysis; print(simulator.__file__, analysis.__file__)",
        folder=elsewhere,
        path=site,
    )
    assert where.count(str(site)) == 2
    python(
        "-m", "simulator", "run", "quickstart", "-S", "stop.steps=3", folder=elsewhere, path=site
    )
    python("-m", "simulator", "compare", "out", "-o", "cmp", folder=elsewhere, path=site)
    assert (elsewhere / "cmp" / "loss.png").exists()


@pytest.mark.slow
def test_a_new_algorithm_is_one_file_and_the_conformance_suite_tests_it(tmp_path):
    page = (ROOT / "docs" / "adding_an_algorithm.md").read_text()
    file, code = re.search(r"^```python\n# file: (\S+)\n(.*?)^```", page, re.M | re.S).groups()
    imports = re.search(r"^    (from simulator\.algorithms import .*)$", page, re.M)[1]
    for package in (*PACKAGES, "tests"):
        shutil.copytree(ROOT / package, tmp_path / package)
    (tmp_path / file).write_text(code)
    init = tmp_path / "simulator" / "algorithms" / "__init__.py"
    init.write_text(init.read_text() + f"\n{imports}\n")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    kind = re.search(r'@register\("(.*)"\)', code)[1]
    output = python(
        "-m",
        "pytest",
        "tests/test_every_algorithm.py",
        "-k",
        kind,
        "-vv",
        "-p",
        "no:cacheprovider",
        folder=tmp_path,
        path=tmp_path,
    )
    assert int(re.search(r"(\d+) passed", output)[1]) >= 15
    listed = python("-m", "simulator", "list", "algorithms", folder=tmp_path, path=tmp_path)
    assert kind in listed
