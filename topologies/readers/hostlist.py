"""Host lists: many names in short, as Slurm writes them."""

from __future__ import annotations

import math
import re
from itertools import product

from simulator.errors import TopologyError, printable

MAX_NAMES = 100_000
_RANGE = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?", re.ASCII)


def expand_hostlist(text: str) -> list[str]:
    """Names that a host list stands for, in its order.

    Numbers keep the zeros that their range's first one begins with; several brackets are
    expanded like nested loops.

    Raises
    ------
    TopologyError
        If it cannot be read or stands for more than 100,000 names.

    >>> expand_hostlist("tux[0-2,12],login")
    ['tux0', 'tux1', 'tux2', 'tux12', 'login']
    >>> expand_hostlist("r[1-2]n[09-10]")
    ['r1n09', 'r1n10', 'r2n09', 'r2n10']
    """
    names: list[str] = []
    for word in _split(text):
        pieces = re.split(r"\[([^\[\]]*)\]", word)
        if any(c in piece for piece in pieces[::2] for c in "[]") or not word:
            raise TopologyError(f"{printable(text)} is no host list such as 'tux[0-3,12]'")
        choices = [[p] if i % 2 == 0 else _numbers(p, text) for i, p in enumerate(pieces)]
        if len(names) + math.prod(map(len, choices)) > MAX_NAMES:
            raise TopologyError(f"{printable(text)} stands for more than {MAX_NAMES:,} names")
        names += map("".join, product(*choices))
    return names


def _split(text: str) -> list[str]:
    """Words between commas that stand in no bracket."""
    return re.split(r",(?![^\[]*\])", text)


def _numbers(inside: str, text: str) -> list[str]:
    """What stands for ``0-3,12``."""
    numbers: list[str] = []
    for part in inside.split(","):
        match = _RANGE.fullmatch(part.strip())
        if match is None or int(match[2] or match[1]) < int(match[1]):
            raise TopologyError(
                f"{printable(text)}: {printable(part)} is no number or rising range such as 0-3"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if len(numbers) + last - first >= MAX_NAMES:
            raise TopologyError(f"{printable(text)} stands for more than {MAX_NAMES:,} names")
        numbers += [str(number).zfill(len(match[1])) for number in range(first, last + 1)]
    return numbers
