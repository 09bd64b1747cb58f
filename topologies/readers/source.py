"""The text of a topology file, read with limits."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from simulator.errors import TopologyError, escaped

MAX_BYTES = 64 * 2**20


@dataclass(frozen=True)
class Source:
    """A file that has been read: its name as it stands in messages, and its text."""

    name: str
    text: str

    def lines(self) -> list[str]:
        """Lines as editors count them; `str.splitlines` ends them at rarer characters too."""
        return self.text.split("\n")

    def at(self, line: int) -> str:
        """Place of a line, counted from 1."""
        return f"{self.name}:{line}"

    def path(self, *keys: str | int) -> str:
        """Place of a value in a file that is a tree."""
        return f"{self.name}: {'.'.join(map(str, keys))}"


def open_source(path: str | Path, limit: int = MAX_BYTES) -> Source:
    """Read a regular file of UTF-8 text.

    Raises
    ------
    TopologyError
        If there is none, it is larger than *limit* bytes, or no text.
    """
    name = escaped(str(path))
    try:
        # Opening a FIFO would wait for its writer, a device might answer for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "is no name of a file"
        raise TopologyError(f"{name}: cannot be read: {reason}") from None
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise TopologyError(f"{name}: is no regular file")
        with os.fdopen(handle, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(content) > limit:
        raise TopologyError(f"{name}: is larger than {limit / 2**20:g} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise TopologyError(
            f"{name}:{line}: byte {error.start} is not UTF-8 text; save the file as UTF-8"
        ) from None
    if "\0" in text:
        raise TopologyError(f"{name}: holds zero bytes, so it is no text")
    return Source(name, text)
