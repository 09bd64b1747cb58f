"""Values: arrays that nobody may change, so that they can be shared and used later."""

from __future__ import annotations

from typing import TypeVar

import numpy as np

Value = TypeVar("Value")


def frozen(value: Value) -> Value:
    """Mark an array read-only: parameters and gradients are values, not buffers.

    >>> frozen(np.zeros(2))[0] = 1.0
    Traceback (most recent call last):
    ...
    ValueError: assignment destination is read-only
    """
    if isinstance(value, np.ndarray) and value.flags.writeable:
        value.flags.writeable = False
    return value
