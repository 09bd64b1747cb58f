"""Compute time from batch size: of a device, given directly, as a line, or measured."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Protocol

import numpy as np
from annotated_types import Gt, Le

from simulator.cluster.devices import sustained_speed, training_flop
from simulator.columns import cell, read_rows
from simulator.errors import DataError
from simulator.registry import Registry
from simulator.units import Seconds

if TYPE_CHECKING:
    from simulator.cluster.workload import Workload


class ComputeTime(Protocol):
    """A workload's `compute`: forward and backward pass of a batch, s."""

    def seconds(self, workload: Workload, device: str, batch: float) -> float: ...


COMPUTES: Registry[ComputeTime] = Registry("compute time")


@COMPUTES.register("device")
@dataclass(frozen=True)
class OfDevice:
    """What the preset's FLOP take on the device, and `fixed` seconds of every step.

    `sustained` is the share of the device's peak that is reached; by default it follows
    from a published throughput of this network on this device, or of a network of its
    family.
    """

    fixed: Seconds = 0.0
    sustained: Annotated[float, Gt(0), Le(2)] | None = None

    def seconds(self, workload: Workload, device: str, batch: float) -> float:
        network = workload.network()
        speed = sustained_speed(network, device, workload.precision, self.sustained)
        return self.fixed + batch * training_flop(network) / speed


@COMPUTES.register("constant")
@dataclass(frozen=True)
class OfBatch:
    """`value` for a batch of `workload.batch_size`; other batches in proportion."""

    value: Seconds = 0.18

    def seconds(self, workload: Workload, device: str, batch: float) -> float:
        del device
        return self.value * batch / workload.batch_size


@COMPUTES.register("linear")
@dataclass(frozen=True)
class Linear:
    """`fixed` and `per_sample` times the batch size."""

    fixed: Seconds = 0.0
    per_sample: Seconds = 0.0028

    def seconds(self, workload: Workload, device: str, batch: float) -> float:
        del workload, device
        return self.fixed + self.per_sample * batch


@COMPUTES.register("measured")
@dataclass(frozen=True)
class Measured:
    """Measured times: a CSV file with columns batch_size and compute_s, linear in between.

    Several rows of one batch size count with their median.
    """

    path: str

    def seconds(self, workload: Workload, device: str, batch: float) -> float:
        """Time of a batch, s.

        Raises
        ------
        DataError
            If the file cannot be read or does not reach as far as *batch*.
        """
        del workload, device
        sizes, times = self._points
        if not sizes[0] <= batch <= sizes[-1]:
            raise DataError(
                f"{self.path} was measured for batches of {sizes[0]:g} to {sizes[-1]:g} samples, "
                f"not for {batch:g}"
            )
        return float(np.interp(batch, sizes, times))

    def check_file(self) -> None:
        """Refuse a file that cannot be read."""
        assert self._points

    @cached_property
    def _points(self) -> tuple[list[float], list[float]]:
        found: dict[float, list[float]] = {}
        for row in read_rows(self.path, ["batch_size", "compute_s"]):
            size = cell(self.path, row, "batch_size", float)
            found.setdefault(size, []).append(cell(self.path, row, "compute_s", float))
        sizes = sorted(found)
        return sizes, [float(np.median(found[size])) for size in sizes]
