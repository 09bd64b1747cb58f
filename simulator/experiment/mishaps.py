"""What a scenario says of its workers, hosts, storage and failures that cannot be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from simulator.cluster import Layout, equip
from simulator.cluster.computetime import OfDevice
from simulator.cluster.equipment import HostSettings
from simulator.cluster.layout import misnumbered
from simulator.cluster.recorded import NeedsFile
from simulator.cluster.storage import ObjectStore
from simulator.cluster.stragglers import SlowLinks
from simulator.errors import InvalidInput
from simulator.experiment.hardware import layout_of, layout_without_graph
from simulator.experiment.networking import SHARED
from simulator.experiment.scenario import Scenario
from simulator.registry import kind_of

MOST_OBJECTS = 100_000


def impossible_cluster(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """What cannot be had on the scenario's hosts: (path, message)."""
    layout = layout_without_graph(scenario) or layout_of(scenario.topology.build())
    problems = list(_hosts(scenario.hosts, layout))
    yield from problems
    if not problems:
        yield from _workload(scenario, layout)
    yield from _storage(scenario)
    yield from _named(scenario, layout)
    yield from _failures(scenario)


def _hosts(hosts: Sequence[HostSettings], layout: Layout) -> Iterator[tuple[str, str]]:
    known: dict[int, int] = {}
    for number, one in enumerate(hosts):
        if problem := misnumbered(one.hosts, len(layout.host_nodes), "host"):
            yield f"hosts.{number}.hosts", problem
        if not one.hosts:
            yield f"hosts.{number}.hosts", "names no host"
        for other in one.hosts:
            if known.setdefault(other, number) != number:
                yield (
                    f"hosts.{number}.hosts",
                    f"names host {other}, which entry {known[other]} names already",
                )
                break


def _workload(scenario: Scenario, layout: Layout) -> Iterator[tuple[str, str]]:
    unusable = list(_files(scenario))
    yield from unusable
    if unusable:
        return
    workload = scenario.located(scenario.workload)
    of_device = isinstance(workload.compute, OfDevice) and workload.layers is None
    if not of_device:
        given = "compute" if workload.layers is None else "layers"
        for number, one in enumerate(scenario.hosts):
            if one.device is not None:
                yield (
                    f"hosts.{number}.device",
                    f"says nothing where workload.{given} gives the times; use speed",
                )
    try:
        made = equip(workload, scenario.hosts, layout, scenario.learning.batch_size, scenario.share)
    except InvalidInput as error:
        yield ("workload.device" if of_device else "workload.compute"), str(error)
        return
    stop = scenario.stop
    endless = stop.steps is None and stop.samples is None and stop.epochs is None
    if endless and (stop.time or stop.target_accuracy) and not min(made.seconds):
        yield "workload.compute", "is zero, so time may stand still; give stop.steps as well"


def _files(scenario: Scenario) -> Iterator[tuple[str, str]]:
    """Files of the workload that cannot be read."""
    for name in ("noise", "layers", "compute"):
        try:
            part = scenario.located(getattr(scenario.workload, name))
            if isinstance(part, NeedsFile):
                part.check_file()
        except InvalidInput as error:
            yield f"workload.{name}", str(error)


def _named(scenario: Scenario, layout: Layout) -> Iterator[tuple[str, str]]:
    """Stragglers and losses of workers that are not there."""
    parts: list[tuple[str, Any]] = [
        *((f"stragglers.{i}", model) for i, model in enumerate(scenario.stragglers)),
        *((f"failures.losses.{i}", model) for i, model in enumerate(scenario.failures.losses)),
    ]
    for path, part in parts:
        try:
            scenario.located(part).check_on(layout)
        except InvalidInput as error:
            yield path, str(error)
        if isinstance(part, SlowLinks) and scenario.network.fidelity not in SHARED:
            yield path, f"needs links that are shared; not fidelity {scenario.network.fidelity}"


def _storage(scenario: Scenario) -> Iterator[tuple[str, str]]:
    storage, workload = scenario.storage, scenario.workload
    if isinstance(storage, ObjectStore):
        objects = workload.batch_size * workload.sample_nbytes / storage.object
        if objects > MOST_OBJECTS:
            yield (
                "storage.object",
                f"makes {objects:,.0f} objects of a batch; at most {MOST_OBJECTS:,} can be fetched",
            )


def _failures(scenario: Scenario) -> Iterator[tuple[str, str]]:
    failures, needs = scenario.failures, scenario.algorithm.needs
    if failures.losses and failures.on_loss not in needs.failures:
        yield (
            "failures.on_loss",
            f"{kind_of(scenario.algorithm)} cannot {failures.on_loss}: {needs.fixed}; "
            f"it can {' or '.join(sorted(needs.failures))}",
        )
