"""Runs: a scenario goes in, a result comes out; the same scenario gives the same bytes."""

from __future__ import annotations

import gc
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

import topologies
from simulator.cluster import Cluster, ComputeModel, Job, Progress, StopRule
from simulator.engine import Clock, Stalled, Streams, Trace
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
        status, warnings = "completed", _ignored(scenario, ignored)
        try:
            cluster.run(list(scenario.algorithm.processes(cluster)))
        except Stalled as stalled:
            status, warnings = "stalled", [*warnings, str(stalled)]
            warnings += [f"link {u} -> {v} has failed" for u, v in cluster.network.failed()]
        warnings += getattr(cluster.network, "remarks", ())
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
    graph = scenario.topology.build()
    needs, learning = scenario.algorithm.needs, scenario.learning
    servers = [topologies.attach(graph, f"server{i}", "server") for i in range(needs.servers)]
    topologies.check(graph)
    nodes = topologies.worker_nodes(graph)
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
    )
    job = Job(model, data, rule.build(len(nodes)), model.initial(streams.get("init")))
    cluster = Cluster(
        env,
        trace,
        network,
        nodes,
        job,
        learning.partition.shards(data, len(nodes), streams.get("partition")),
        learning.batch_size,
        scenario.workload,
        ComputeModel(scenario.workload, scenario.stragglers, len(nodes), streams),
        scenario.storage,
        streams,
        servers,
        Choices(scenario.network.all_reduce, scenario.network.payload, scenario.workload.tensors),
        stack_limit,
    )
    cluster.progress = Progress(
        cluster,
        stop_rule(scenario, len(nodes), data),
        needs.lock_step,
        learning.batch_size,
        scenario.evaluate.every or len(data.x),
    )
    return cluster, ignored


def stop_rule(scenario: Scenario, workers: int, data: Data) -> StopRule:
    """When the run ends, in worker-steps and seconds."""
    stop, batch = scenario.stop, scenario.learning.batch_size
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
        "specification": scenario.algorithm.specification,
        "ignored_settings": [f"learning.optimizer.{name}" for name in ignored],
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
