"""Runs: a scenario goes in, a result comes out; the same scenario gives the same bytes."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import topologies
from simulator.algorithms.base import specification_of
from simulator.cluster import Cluster, ComputeModel, Job, Progress, StopRule, equip
from simulator.cluster.computetime import OfDevice
from simulator.cluster.devices import figure_for
from simulator.engine import Clock, Stalled, Streams, Trace
from simulator.experiment.hardware import (
    STORAGE,
    graph_of,
    layout_of,
    servers_of,
    slow_links,
    storage_of,
)
from simulator.experiment.networking import build_network, cost_table
from simulator.experiment.result import Result, summarise, tables_of
from simulator.experiment.scenario import Scenario
from simulator.learning import Data
from simulator.network import Choices
from simulator.registry import kind_of


def run(scenario: Scenario, *, stack_limit: int | None = None) -> Result:
    """Simulate *scenario*.

    Parameters
    ----------
    scenario
        What to run.
    stack_limit
        Gradients evaluated together; for tests, results do not depend on it.

    Returns
    -------
    Result
        Tables and summary.  Divergence and a stalled run are results, not errors.

    Raises
    ------
    DataError, TopologyError
        If data or graph cannot be used.
    """
    # One BLAS thread: the products are small, and more threads make them slower.
    with threadpool_limits(1, user_api="blas"), np.errstate(all="ignore"), rare_collection():
        cluster, ignored = build(scenario, stack_limit)
        status = "completed"
        warnings = _ignored(scenario, ignored) + _misplaced(scenario, cluster)
        warnings += _borrowed(scenario, cluster)
        try:
            cluster.run(list(scenario.algorithm.processes(cluster)))
        except Stalled as stalled:
            status, warnings = "stalled", [*warnings, str(stalled)]
            warnings += [f"link {u} -> {v} has failed" for u, v in cluster.network.failed()]
        warnings += getattr(cluster.network, "remarks", ())
        if cluster.outages is not None:
            warnings += cluster.outages.notes
        return _result(scenario, cluster, status, ignored, warnings)


@contextmanager
def rare_collection() -> Iterator[None]:
    """Let the cyclic garbage collector look less often; a run makes millions of events."""
    before = gc.get_threshold()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def build(scenario: Scenario, stack_limit: int | None = None) -> tuple[Cluster, tuple[str, ...]]:
    """The cluster of *scenario*, ready to run, and the optimiser settings it leaves aside."""
    streams, env, trace, data = Streams(scenario.seed), Clock(), Trace(), scenario.data()
    graph = graph_of(scenario)
    layout, nodes = layout_of(graph), topologies.worker_nodes(graph)
    needs, learning = scenario.algorithm.needs, scenario.learning
    workload, stragglers = (
        scenario.located(scenario.workload),
        scenario.located(scenario.stragglers),
    )
    equipment = equip(workload, scenario.hosts, layout, learning.batch_size, scenario.share)
    model = learning.model.for_data(data)
    rule, ignored = learning.optimizer.restricted(needs.optimizer)
    network = build_network(
        scenario.network,
        env,
        graph,
        trace.messages,
        streams,
        costs=cost_table(scenario.network, scenario.folder, scenario.allow_outside),
        record=scenario.record.messages,
        changes=slow_links(stragglers, graph, layout, streams),
    )
    job = Job(
        model,
        data,
        rule.build(len(nodes)),
        model.initial(streams.get("init")),
        unequal=len(set(equipment.small_batches)) > 1,
    )
    cluster = Cluster(
        env,
        trace,
        network,
        nodes,
        job,
        learning.partition.shards(data, len(nodes), streams.get("partition")),
        workload,
        equipment,
        ComputeModel(equipment.seconds, workload.noise, stragglers, layout, streams),
        scenario.storage,
        streams,
        servers_of(graph, scenario),
        storage_of(graph, scenario),
        Choices(scenario.network.all_reduce, scenario.network.payload, workload.tensor_count),
        scenario.failures,
        needs.lock_step,
        stack_limit,
    )
    cluster.progress = Progress(
        cluster,
        stop_rule(scenario, equipment.small_batches, data),
        needs.lock_step,
        equipment.small_batches,
        scenario.evaluate.every or len(data.x),
    )
    return cluster, ignored


def stop_rule(scenario: Scenario, batches: Sequence[int], data: Data) -> StopRule:
    """When the run ends, in worker-steps and seconds; *batches* of the small job by worker."""
    stop, workers, batch = scenario.stop, len(batches), sum(batches) / len(batches)
    budgets = [] if stop.steps is None else [stop.steps * workers]
    if stop.samples is not None:
        budgets.append(math.ceil(stop.samples / batch))
    if stop.epochs is not None:
        # 1.1 epochs of 100 samples are 110 samples, not the next float above
        budgets.append(math.ceil(round(stop.epochs * len(data.x), 6) / batch))
    return StopRule(min(budgets) if budgets else None, stop.time, stop.target_accuracy)


def _ignored(scenario: Scenario, names: tuple[str, ...]) -> list[str]:
    if not names:
        return []
    return [
        f"{kind_of(scenario.algorithm)} has no {', '.join(names)}; "
        "learning.optimizer is used without"
    ]


def figures_of(scenario: Scenario, cluster: Cluster) -> dict[str, dict[str, Any]]:
    """The published throughput that the times of each device follow from."""
    workload = scenario.workload
    compute = workload.compute
    if not isinstance(compute, OfDevice) or compute.sustained or workload.layers is not None:
        return {}
    return {
        device: figure_for(workload.network(), device, workload.precision)._asdict()
        for device in dict.fromkeys(cluster.equipment.devices)
    }


def _borrowed(scenario: Scenario, cluster: Cluster) -> list[str]:
    """Devices whose figure is that of another network."""
    return [
        f"no figure for {scenario.workload.preset} on {device}: it is as fast there, in FLOP/s, as "
        f"{figure['network']} ({figure['samples_per_s']:g} samples/s in {figure['precision']})"
        for device, figure in figures_of(scenario, cluster).items()
        if figure["network"] != scenario.workload.preset
    ]


def _misplaced(scenario: Scenario, cluster: Cluster) -> list[str]:
    if not scenario.storage.attached or STORAGE in cluster.network.router.graph:
        return []
    return [
        "there is no switch for a file server, so host 0 is it: storage.bandwidth says nothing, "
        "reads go over the links between the hosts"
    ]


def _result(
    scenario: Scenario, cluster: Cluster, status: str, ignored: tuple[str, ...], warnings: list[str]
) -> Result:
    cluster.progress.evaluate()
    end, diverged = cluster.env.now, cluster.progress.diverged
    cluster.close(end)
    traffic = cluster.network.traffic(end)
    if diverged is not None:
        status = "diverged"
        where = "evaluation" if diverged.worker is None else f"worker {diverged.worker}"
        warnings = [
            *warnings,
            f"diverged: the loss is no number from step {diverged.step} on "
            f"({where}, {diverged.time_s:g} s)",
        ]
    details: dict[str, Any] = {
        "specification": specification_of(scenario.algorithm),
        "ignored_settings": [f"learning.optimizer.{name}" for name in ignored],
        "figures": figures_of(scenario, cluster),
        "all_reduce": {
            group.name: choice for group in cluster.groups for choice in group.choices.values()
        },
        "diverged": asdict(diverged) if diverged else None,
    }
    return Result(
        scenario,
        summarise(scenario, cluster, traffic, end, status, diverged),
        tables_of(cluster, traffic, end, scenario),
        details,
        tuple(warnings),
        cluster.network.router.graph,
    )
