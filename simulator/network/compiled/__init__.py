"""Compiled loops: routes, fair sharing, and the motion of all open transfers.

See `simulator.compiling` for how; the modules are imported where they are needed.
"""

from __future__ import annotations

import os

from simulator import compiling


def is_compiled() -> bool:
    """Has anything of this package been compiled before?  If not, it takes some seconds."""
    return compiling.is_compiled(os.path.dirname(__file__))
