"""Text in pictures."""

from __future__ import annotations


def text(name: object) -> str:
    """*name* as matplotlib should show it: no mathematics in it.

    >>> text("a$b$")
    'a\\\\$b\\\\$'
    """
    return str(name).replace("$", r"\$")
