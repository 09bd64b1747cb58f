"""Runs every code block of the documentation as a newcomer would, in an empty folder.

``python -m tests.docs`` runs the ``console`` and ``python`` blocks of README and docs, file
by file.  A console block is a list of commands behind ``$``; a line that follows a command
must stand in its output, unless it is ``...``.  A ``yaml`` or ``python`` block whose first
line is a comment with a file name is written to that file.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(console|python|yaml)\n(.*?)^```", re.M | re.S)
FILE_NAME = re.compile(r"# file: (\S+)\n")


def pages():
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def commands(block):
    """(command, expected lines) of a console block."""
    found = []
    for line in block.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif line.startswith("> ") and found:
            found[-1] = (f"{found[-1][0]}\n{line[2:]}", [])
        elif line.strip() and found and line.strip() != "...":
            found[-1][1].append(line.strip())
    return found


def shell(command, folder):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        command,
        shell=True,
        cwd=folder,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def run_page(page, folder):
    """Problems found on one page."""
    for language, block in BLOCK.findall(page.read_text()):
        if named := FILE_NAME.match(block):
            target = folder / named[1]
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(block)
        elif language == "python":
            (folder / "block.py").write_text(block)
            done = shell("python block.py", folder)
            if done.returncode:
                yield f"{page.name}: python block fails:\n{block}\n{done.stdout}"
        elif language == "console":
            for command, expected in commands(block):
                if command.startswith(("git ", "make ", "cd ")):
                    continue  # the set-up is what .ci/run begins with
                done = shell(command, folder)
                squeezed = " ".join(done.stdout.split())
                if done.returncode not in (0, 2) or (done.returncode == 2 and not expected):
                    yield f"{page.name}: {command}: exit code {done.returncode}\n{done.stdout}"
                for line in expected:
                    if " ".join(line.split()) not in squeezed:
                        yield f"{page.name}: {command}: no line {line!r} in\n{done.stdout}"


def main():
    problems, blocks = [], 0
    for page in pages():
        blocks += len(BLOCK.findall(page.read_text()))
        with tempfile.TemporaryDirectory() as folder:
            problems += run_page(page, Path(folder))
    print("\n".join(problems) or f"{blocks} code blocks in {len(pages())} pages run as they say")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
