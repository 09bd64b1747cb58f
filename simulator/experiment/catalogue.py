"""The catalogue: what a scenario can name, and its schema."""

from __future__ import annotations

from typing import Any

from simulator.algorithms import ALGORITHMS
from simulator.algorithms.base import EVERYTHING, Needs
from simulator.cluster import COMPUTES, DURATIONS, LOSSES, NOISES, STORAGES, STRAGGLERS
from simulator.cluster.devices import DEVICES, training_flop
from simulator.cluster.presets import PRESETS, architecture
from simulator.cluster.workload import BYTES_PER_PARAMETER
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
        "losses": LOSSES,
        "computes": COMPUTES,
        "noises": NOISES,
        "durations": DURATIONS,
        "models": MODELS,
        "datasets": DATASETS,
        "partitions": PARTITIONS,
        "optimizers": OPTIMIZERS,
        "schedules": SCHEDULES,
        "payloads": PAYLOADS,
    }


def presets() -> list[dict[str, Any]]:
    """Networks that `workload.preset` can name, and what they cost."""
    made = [architecture(name) for name in PRESETS]
    return [
        {
            "name": one.name,
            "parameters": one.parameters,
            "tensors": one.tensors,
            "gradient_nbytes": BYTES_PER_PARAMETER * one.parameters,
            "training_flop": training_flop(one),
            "sample_nbytes": one.sample,
            "samples": one.samples,
            "dataset": one.dataset,
            "source": one.source,
        }
        for one in made
    ]


def devices() -> list[dict[str, Any]]:
    """Devices that `workload.device` can name: a row for each published throughput."""
    rows = []
    for name, device in DEVICES.items():
        for figure in device.figures:
            peak = device.peaks[figure.precision]
            speed = figure.samples_per_s * training_flop(architecture(figure.network))
            rows.append(
                {
                    "name": name,
                    "precision": figure.precision,
                    "peak_flop_per_s": peak,
                    "network": figure.network,
                    "batch_size": figure.batch_size,
                    "samples_per_s": figure.samples_per_s,
                    "sustained": round(speed / peak, 3),
                    "source": figure.source,
                }
            )
    return rows


def catalogue(kind: str) -> list[dict[str, Any]]:
    """Entries of one registry: name and summary; algorithms also say where they come from."""
    if kind in ("presets", "devices"):
        return presets() if kind == "presets" else devices()
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
    lacking = EVERYTHING - needs.optimizer
    if "momentum" in lacking:
        lacking -= {"nesterov"}  # a kind of it
    missing = [f"no {name.replace('_', ' ')}" for name in sorted(lacking)]
    return [text for text, needed in facts if needed] + missing


def json_schema() -> dict[str, Any]:
    """JSON Schema of scenario files."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **settings_for(Scenario).model_json_schema(),
    }
