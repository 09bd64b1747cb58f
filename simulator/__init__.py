"""paceline: a discrete-event cluster simulator for distributed SGD.

The Python interface is the command line's: ``load`` a scenario, ``run`` it, look at the
`Result`.  Nothing heavy is imported before it is used.

>>> import simulator
>>> scenario = simulator.load("quickstart", ["stop.steps=2"])
>>> simulator.run(scenario).summary["workers"]
8
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.experiment.loading import load
    from simulator.experiment.result import Result
    from simulator.experiment.run import run
    from simulator.experiment.scenario import Scenario

__all__ = ["Result", "Scenario", "load", "run"]

_HOMES = {"Result": "result", "run": "run", "Scenario": "scenario", "load": "loading"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'simulator' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"simulator.experiment.{_HOMES[name]}"), name)
