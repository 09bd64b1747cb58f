"""Combinations: what a scenario asks for, each part allowed, that cannot be had together."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

from simulator.engine import Streams
from simulator.errors import DataError, InvalidInput
from simulator.experiment.hardware import graph_of
from simulator.experiment.mishaps import impossible_cluster
from simulator.experiment.networking import contradictions, cost_table
from simulator.experiment.references import resolve
from simulator.experiment.scenario import Scenario, Stop
from simulator.learning import Data
from simulator.registry import Checked, CheckedModel

MAX_WORKER_STEPS = 1_000_000_000


def impossible(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What *scenario* asks for that cannot be had together: (path, message)."""
    problems = list(impossible_network(scenario))
    yield from problems
    if any(path.startswith("topology") for path, _ in problems):
        return  # nothing is known of the cluster
    workers, hosts = scenario.topology.workers, scenario.topology.hosts
    if isinstance(scenario.algorithm, Checked):
        try:
            scenario.algorithm.check(workers, hosts)
        except InvalidInput as error:
            yield "algorithm", str(error)
    yield from impossible_cluster(scenario)
    if scenario.algorithm.needs.power_of_two and workers & (workers - 1):
        yield "algorithm", f"needs a power of two of workers, not {workers}"
    yield from _endless(scenario)
    optimizer = scenario.learning.optimizer
    if getattr(optimizer, "nesterov", False) and not getattr(optimizer, "momentum", 0):
        yield "learning.optimizer.nesterov", "needs a momentum above 0"
    yield from _unlearnable(scenario, workers)


def impossible_network(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """The same for topology and network alone, whatever is to be learned on them."""
    unusable = list(_unusable(scenario))
    yield from unusable or _network(scenario)


def _unusable(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """A topology that cannot be, or a file of one that cannot be read."""
    topology: Any = scenario.topology
    try:
        if path := getattr(topology, "path", None):
            resolve(path, scenario.folder, scenario.allow_outside)
    except InvalidInput as error:
        yield "topology.path", str(error)
        return
    try:
        workers, hosts = topology.workers, topology.hosts
        if isinstance(topology, Checked):
            topology.check(workers, hosts)
    except InvalidInput as error:
        yield "topology", str(error)


def _network(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Settings of the network that contradict each other, or the topology."""
    network = scenario.network
    graph = graph_of(scenario) if network.links or network.background else None
    for path, message in contradictions(network, graph):
        yield f"network.{path}", message
    for number, costs in enumerate(network.costs):
        try:
            cost_table(replace(network, costs=(costs,)), scenario.folder, scenario.allow_outside)
        except InvalidInput as error:
            yield f"network.costs.{number}", str(error)


def _endless(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Runs that might never end."""
    stop = scenario.stop
    given = [item.name for item in fields(Stop) if getattr(stop, item.name) is not None]
    if not given:
        yield "stop", "says nothing; give steps, samples, epochs or time"
    if given == ["target_accuracy"]:
        yield (
            "stop.target_accuracy",
            "may never be reached; give steps, samples, epochs or time beside it",
        )
    if stop.steps is not None and stop.steps * scenario.topology.workers > MAX_WORKER_STEPS:
        yield (
            "stop.steps",
            (
                f"makes {stop.steps * scenario.topology.workers:,} worker-steps; at most "
                f"{MAX_WORKER_STEPS:,} fit into the books of a run"
            ),
        )
    if stop.time == 0:
        yield "stop.time", "is zero; a run takes some time"


def _unlearnable(scenario: Scenario, workers: int) -> Iterator[tuple[str, str]]:
    learning = scenario.learning
    try:
        data = scenario.data()
    except DataError as error:
        yield "learning.dataset", str(error)
        return
    try:
        model = learning.model.for_data(data)
    except DataError as error:
        yield "learning.model", str(error)
    else:
        if isinstance(scenario.algorithm, CheckedModel):
            try:
                scenario.algorithm.check_model(model.size)
            except InvalidInput as error:
                yield "algorithm", str(error)
        needed, available = memory_needed(model.size, workers, data), memory_of_this_machine()
        if needed > 0.8 * available:
            yield (
                "learning.model",
                f"{model.size:,} parameters for {workers:,} workers need about "
                f"{needed / 1e9:,.0f} GB, this machine has {available / 1e9:,.0f} GB; use a "
                "smaller model or fewer workers (the workload, not this model, sets the clock)",
            )
    if learning.batch_size > len(data.x):
        yield (
            "learning.batch_size",
            f"is {learning.batch_size:,}, but {data.name} has only {len(data.x):,} training "
            "samples; the full-size job's batch is workload.batch_size",
        )
    try:
        learning.partition.shards(data, workers, Streams(scenario.seed).get("partition"))
    except DataError as error:
        yield "learning.partition", str(error)
    for part, wanted in (("stop", scenario.stop), ("evaluate", scenario.evaluate)):
        if data.classes is None and wanted.target_accuracy is not None:
            yield (
                f"{part}.target_accuracy",
                f"{data.name} is a regression problem and has no accuracy",
            )


def memory_needed(parameters: int, workers: int, data: Data) -> float:
    """Bytes that a run takes at the most: four rows per worker, its books, and the data."""
    row = parameters * data.dtype.itemsize
    return workers * (4.0 * row + 20_000) + 3.0 * data.x.nbytes


def memory_of_this_machine() -> float:
    """Bytes of physical memory."""
    return float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")
