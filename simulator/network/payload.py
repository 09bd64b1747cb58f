"""Payloads: in how many messages the gradient of a model is handed to a collective."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Protocol

from simulator.registry import Registry
from simulator.units import Unit


class Payload(Protocol):
    """Cuts a payload into pieces that are sent one after the other."""

    def pieces(self, nbytes: float, tensors: int) -> list[float]: ...


PAYLOADS: Registry[Payload] = Registry("payload")


@PAYLOADS.register("fused")
@dataclass(frozen=True)
class Fused:
    """All tensors as one message."""

    def pieces(self, nbytes: float, tensors: int) -> list[float]:
        del tensors
        return [nbytes]


@PAYLOADS.register("per-tensor")
@dataclass(frozen=True)
class PerTensor:
    """Every tensor by itself: with p tensors a collective pays its latency p times.

    >>> PerTensor().pieces(12.0, 3)
    [4.0, 4.0, 4.0]
    """

    def pieces(self, nbytes: float, tensors: int) -> list[float]:
        return [nbytes / tensors] * tensors


@PAYLOADS.register("bucketed")
@dataclass(frozen=True)
class Bucketed:
    """Buckets of at most `size`, as PyTorch's DistributedDataParallel fills them.

    >>> Bucketed(size=5.0).pieces(12.0, 3)
    [5.0, 5.0, 2.0]
    """

    size: Annotated[float, Unit("B", positive=True)] = 25.0 * 2**20

    def pieces(self, nbytes: float, tensors: int) -> list[float]:
        del tensors
        full = int(nbytes // self.size)
        rest = nbytes - full * self.size
        return [self.size] * full + ([rest] if rest or not full else [])
