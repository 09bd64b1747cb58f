"""The answers at the end of the what-if scenarios: ``python -m tests.answers`` writes them anew.

A scenario that names its sweep (``# Try: paceline sweep ...``) ends with what ``paceline
compare`` says of it, as comments.
"""

import contextlib
import io
import shlex
import shutil
import sys
import tempfile
from pathlib import Path

import scenarios
from analysis.load import load
from analysis.metrics import answers, comparison
from simulator.cli.output import plain

SHOWN = ("time_to_target_s", "final_accuracy", "samples_per_s", "io", "communication", "idle")
TRY, ANSWER = "# Try: paceline sweep ", "# Answer, as paceline compare prints it:"


def sweep_of(path):
    """Arguments of the sweep and of the comparison that a scenario names; None if it does not."""
    for line in path.read_text().splitlines():
        if line.startswith(TRY):
            sweep, compare = line.removeprefix(TRY).split(" && paceline compare ")
            return shlex.split(sweep), shlex.split(compare)
    return None


def answer_of(path):
    """What compare says of the sweep that the scenario in *path* names."""
    from simulator.cli import call

    arguments, (_, *more) = sweep_of(path)
    arguments = arguments[: arguments.index("-o")]
    by = more[1] if more else "algorithm.kind"
    folder = tempfile.mkdtemp()
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            assert call(["sweep", *arguments, "-q", "-o", folder]) == 0
        rows = comparison(load([folder]), by)
    finally:
        shutil.rmtree(folder)
    first = next(iter(rows[0]))
    table = [[first, *SHOWN]] + [
        [row[first], *(plain(row[name]) for name in SHOWN)] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in table
    ]
    return [*answers(rows), *lines]


def kept(path):
    """The answer that the file ends with."""
    lines = path.read_text().splitlines()
    at = lines.index(ANSWER)
    return [line.removeprefix("#   ") for line in lines[at + 1 :]]


def main():
    for name in sys.argv[1:] or scenarios.names():
        path = Path(scenarios.path(name))
        if sweep_of(path) is None:
            continue
        head = path.read_text().split(ANSWER)[0].rstrip("\n")
        said = "".join(f"\n#   {sentence}" for sentence in answer_of(path))
        path.write_text(f"{head}\n{ANSWER}{said}\n")
        print(name + said)


if __name__ == "__main__":
    main()
