"""The catalogue: what a scenario can name, and its schema."""

from __future__ import annotations

from typing import Any

from simulator.algorithms import ALGORITHMS
from simulator.algorithms.base import EVERYTHING, Needs
from simulator.cluster import DURATIONS, NOISES, STORAGES, STRAGGLERS
from simulator.experiment.scenario import Scenario
from simulator.experiment.settings import settings_for
from simulator.learning import DATASETS, MODELS, OPTIMIZERS, PARTITIONS, SCHEDULES
from simulator.network.payload import PAYLOADS
from simulator.registry import Registry, summary
from topologies import TOPOLOGIES


def registries() -> dict[str, Registry[Any]]:
    """Every registry by the name that `paceline list` gives it."""
    return {
        "algorithms": ALGORITHMS,
        "topologies": TOPOLOGIES,
        "stragglers": STRAGGLERS,
        "storages": STORAGES,
        "noises": NOISES,
        "durations": DURATIONS,
        "models": MODELS,
        "datasets": DATASETS,
        "partitions": PARTITIONS,
        "optimizers": OPTIMIZERS,
        "schedules": SCHEDULES,
        "payloads": PAYLOADS,
    }


def catalogue(kind: str) -> list[dict[str, Any]]:
    """Entries of one registry: name and summary; algorithms also say where they come from."""
    rows: list[dict[str, Any]] = []
    for name, cls in sorted(registries()[kind].items()):
        row: dict[str, Any] = {"name": name, "summary": summary(cls)}
        if kind == "algorithms":
            row |= {
                "paper": cls.paper,
                "specification": cls.specification,
                "needs": needs_in_words(cls.needs),
            }
        rows.append(row)
    return rows


def needs_in_words(needs: Needs) -> list[str]:
    """What an algorithm needs of a cluster and of the optimiser.

    >>> needs_in_words(Needs(servers=1, optimizer=EVERYTHING - {"momentum"}))
    ['lock step', 'parameter server', 'no momentum']
    """
    facts = [
        ("lock step", needs.lock_step),
        ("parameter server", needs.servers > 0),
        ("groups", needs.groups),
        ("power of two", needs.power_of_two),
    ]
    missing = [f"no {name.replace('_', ' ')}" for name in sorted(EVERYTHING - needs.optimizer)]
    return [text for text, needed in facts if needed] + missing


def json_schema() -> dict[str, Any]:
    """JSON Schema of scenario files."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **settings_for(Scenario).model_json_schema(),
    }
