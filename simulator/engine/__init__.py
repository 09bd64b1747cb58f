"""The engine: a clock, events whose value comes late, named random streams and tables."""

from simulator.engine.clock import Clock, Stalled
from simulator.engine.deferred import (
    Activity,
    Batch,
    Composite,
    Computation,
    Deferred,
    First,
    Together,
    done,
    in_order,
    when_over,
)
from simulator.engine.process import Watched
from simulator.engine.streams import Streams
from simulator.engine.trace import Table, Trace

__all__ = [
    "Activity",
    "Batch",
    "Clock",
    "Composite",
    "Computation",
    "Deferred",
    "First",
    "Stalled",
    "Streams",
    "Table",
    "Together",
    "Trace",
    "Watched",
    "done",
    "in_order",
    "when_over",
]
