"""Compiling loops with numba, and keeping what was compiled on disk.

Modules with compiled loops are plain Python on numpy arrays.  They are imported where they
are needed, because numba takes a fifth of a second to import; ``NUMBA_DISABLE_JIT=1`` runs
them uncompiled.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

Compiled = TypeVar("Compiled", bound=Callable[..., object])


def compiled(function: Compiled) -> Compiled:
    """Decorator: compile *function* on first use, and keep the result on disk."""
    return _jit(function)


def uncounted(function: Compiled) -> Compiled:
    """As `compiled`, for functions that make no arrays: numba then counts no references.

    Handing a tuple of twenty arrays from function to function costs forty atomic
    operations a call otherwise, four fifths of the time of a message.
    """
    return _jit(function, _nrt=False)


def packed(*signatures: str) -> Callable[[Compiled], Compiled]:
    """As `compiled`, for code that does the same to several neighbouring numbers, line by line.

    Such lines become one instruction, if they read everything before they write anything.
    numba decides about that when it compiles, for all functions alike (its SLP_VECTORIZE,
    off since LLVM 14 got some code wrong; the tests compare what comes out bit for bit),
    so these are compiled when they are defined, for the given *signatures*.
    """

    def decorate(function: Compiled) -> Compiled:
        return _jit(function, list(signatures), {"SLP_VECTORIZE": 1})

    return decorate


def is_compiled(package: str) -> bool:
    """Has anything of the *package* at this folder been compiled?  If not, it takes seconds."""
    folder = _folder(package)
    return os.path.isdir(folder) or not folder


def _jit(
    function: Compiled,
    signatures: list[str] | None = None,
    settings: dict[str, int] | None = None,
    **options: Any,
) -> Compiled:
    import numba

    jit: Any = numba.njit  # its types do not know `_nrt`
    folder = _folder(os.path.dirname(function.__code__.co_filename))
    with _configured({"CACHE_DIR": folder, **(settings or {})}):
        made = jit(signatures, cache=True, error_model="numpy", **options)(function)
    return cast("Compiled", made)


@contextmanager
def _configured(settings: dict[str, Any]) -> Iterator[None]:
    """Change numba's own settings for a while; CACHE_DIR "" is its own choice of a folder."""
    import numba

    config: Any = numba.config  # whose names are made when it is imported
    before = {name: getattr(config, name) for name in settings}
    vars(config).update(settings)
    try:
        yield
    finally:
        vars(config).update(before)


@cache
def _folder(package: str) -> str:
    """A folder of its own for every state of the *package* at this folder.

    numba takes compiled code for fresh if the function's own file has not changed, but the
    functions of other files are compiled into it, and the options stand in this one.
    """
    here = Path(package)
    sources = b"".join(path.read_bytes() for path in [*sorted(here.glob("*.py")), Path(__file__)])
    root = os.environ.get("NUMBA_CACHE_DIR") or str(here / "__pycache__")
    if not os.access(root if os.path.isdir(root) else os.path.dirname(root), os.W_OK):
        return ""
    return os.path.join(root, hashlib.sha256(sources).hexdigest()[:16])
