"""Compiled loops: routes, fair sharing, and the motion of all open transfers.

The modules of this package are plain Python on numpy arrays that numba compiles on first
use and keeps on disk.  They are imported where they are needed, because numba takes a
fifth of a second to import; ``NUMBA_DISABLE_JIT=1`` runs them uncompiled.
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


def _jit(function: Compiled, **options: Any) -> Compiled:
    import numba

    jit: Any = numba.njit  # its types do not know `_nrt`
    with _kept_in(_folder()):
        return cast("Compiled", jit(cache=True, error_model="numpy", **options)(function))


def is_compiled() -> bool:
    """Has anything of this package been compiled before?  If not, it takes some seconds."""
    return os.path.isdir(_folder()) or not _folder()


@contextmanager
def _kept_in(folder: str) -> Iterator[None]:
    """Let numba keep what it compiles in *folder*; "" is its own choice."""
    import numba

    config: Any = numba.config  # whose names are made when it is imported
    before = config.CACHE_DIR
    config.CACHE_DIR = folder
    try:
        yield
    finally:
        config.CACHE_DIR = before


@cache
def _folder() -> str:
    """A folder of its own for every state of this package.

    numba takes compiled code for fresh if the function's own file has not changed, but the
    functions of other files are compiled into it.
    """
    here = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(here.glob("*.py")))
    root = os.environ.get("NUMBA_CACHE_DIR") or str(here / "__pycache__")
    if not os.access(root if os.path.isdir(root) else os.path.dirname(root), os.W_OK):
        return ""
    return os.path.join(root, hashlib.sha256(sources).hexdigest()[:16])
