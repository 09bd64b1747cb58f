"""Results: the tables and the summary of one run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from simulator.cluster import Cluster, Diverged
from simulator.cluster.accounting import breakdown
from simulator.engine.trace import LANES, SPAN_KINDS
from simulator.experiment.scenario import SCHEMA_VERSION, Scenario
from simulator.network import MESSAGE_KINDS, Links, Traffic
from simulator.registry import kind_of

if TYPE_CHECKING:
    import networkx as nx
    import pandas as pd

Columns = dict[str, Any]
HOUR = 3600.0  # s
BUSIEST_LINKS = 32  # link directions whose traffic is kept over time


@dataclass(frozen=True, eq=False)
class Result:
    """What one run gave.

    Attributes
    ----------
    scenario
        What was run.
    summary
        The fields of ``summary.json``; nothing in it depends on the machine.
    tables
        Columns by table name: steps, spans, messages, links, evaluations.
    details
        What else belongs into the manifest: choices of collectives, ignored settings.
    warnings
        What a user should know.
    graph
        The topology, servers included; None if there is nothing to draw.
    """

    scenario: Scenario
    summary: Mapping[str, Any]
    tables: Mapping[str, Columns]
    details: Mapping[str, Any] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    graph: nx.Graph[str] | None = None

    def to_frame(self, table: str = "evaluations") -> pd.DataFrame:
        """One of the tables as a pandas frame."""
        import pandas as pd

        return pd.DataFrame(self.tables[table])


def number(value: float | None) -> float | None:
    """*value* for JSON: None where it is no finite number."""
    return None if value is None or not math.isfinite(value) else float(value)


def tables_of(
    cluster: Cluster, traffic: Traffic, end: float, scenario: Scenario
) -> dict[str, Columns]:
    """All tables of a run that ended at *end* s, codes turned into names."""
    trace, carriers = cluster.trace, cluster.network.carriers
    messages = trace.messages.columns()
    delivered = messages["end_s"] <= end
    messages = {name: column[delivered] for name, column in messages.items()}
    tables: dict[str, Columns] = {
        "steps": dict(trace.steps.columns()),
        "links": _links(cluster.network.links, traffic, end),
        "link_history": _link_history(cluster.network.links, traffic, end),
        "evaluations": dict(trace.evaluations.columns()),
    }
    if cluster.outages is not None:
        tables["outages"] = dict(cluster.outages.books.table().columns())
    keep = scenario.record.every
    if scenario.record.spans:
        tables["spans"] = _spans(trace.spans.columns(), end, keep)
    if scenario.record.messages:
        kept = {name: column[::keep] for name, column in messages.items()}
        numbers = kept["carrier"].tolist()
        tables["messages"] = {
            "source": [carriers[n].source for n in numbers],
            "target": [carriers[n].target for n in numbers],
            "kind": [MESSAGE_KINDS[code] for code in kept["kind"].tolist()],
            **{name: kept[name] for name in ("nbytes", "start_s", "end_s")},
        }
    return tables


def _spans(columns: dict[str, NDArray[Any]], end: float, keep: int) -> Columns:
    used = (columns["start_s"] < end) & (columns["worker"] % keep == 0)
    used &= columns["end_s"] > columns["start_s"]  # what was aborted at once
    cut = {name: column[used] for name, column in columns.items()}
    return {
        "worker": cut["worker"],
        "lane": [LANES[code] for code in cut["lane"].tolist()],
        "kind": [SPAN_KINDS[code] for code in cut["kind"].tolist()],
        "start_s": cut["start_s"],
        "end_s": np.minimum(cut["end_s"], end),
    }


def _links(links: Links, traffic: Traffic, end: float) -> Columns:
    """Bytes, busy time and utilisation (of the bandwidth, over the whole run) by direction."""
    full = traffic.nbytes * links.seconds_per_byte
    return {
        "source": [source for source, _ in links.ends],
        "target": [target for _, target in links.ends],
        "nbytes": traffic.nbytes,
        "busy_s": traffic.busy_s,
        "utilisation": full / end if end > 0 else np.zeros(len(full)),
    }


def _link_history(links: Links, traffic: Traffic, end: float) -> Columns:
    """Bytes over time on the busiest link directions, as many as a picture can show."""
    full = traffic.nbytes * links.seconds_per_byte
    busiest = np.argsort(-full, kind="stable")[:BUSIEST_LINKS]
    chosen = busiest[full[busiest] > 0]
    intervals = min(traffic.history.shape[1], math.ceil(end / traffic.width_s) if end > 0 else 0)
    starts = np.arange(intervals) * traffic.width_s
    count = len(chosen)
    return {
        "source": [links.ends[e][0] for e in chosen.tolist() for _ in range(intervals)],
        "target": [links.ends[e][1] for e in chosen.tolist() for _ in range(intervals)],
        "start_s": np.tile(starts, count),
        "end_s": np.tile(np.minimum(starts + traffic.width_s, end), count),
        "nbytes": traffic.history[chosen, :intervals].ravel(),
    }


def summarise(
    scenario: Scenario,
    cluster: Cluster,
    traffic: Traffic,
    end: float,
    status: str,
    diverged: Diverged | None,
) -> dict[str, Any]:
    """The fields of ``summary.json``."""
    progress, workers = cluster.progress, len(cluster.workers)
    evaluations, steps = cluster.trace.evaluations.columns(), cluster.trace.steps.columns()
    staleness = steps["staleness"][np.isfinite(steps["staleness"])]
    target = scenario.evaluate.target_accuracy
    reached = evaluations["time_s"][evaluations["test_accuracy"] >= (target or math.inf)]
    seconds = breakdown(cluster.trace.spans.columns(), workers, end)
    per_worker = progress.worker_steps / workers
    taken = np.bincount(steps["worker"], minlength=workers)
    work = float(taken @ np.array(cluster.equipment.batches))
    last = {name: None if diverged else number(column[-1]) for name, column in evaluations.items()}
    return {
        "schema_version": SCHEMA_VERSION,
        "status": status,
        "algorithm": kind_of(scenario.algorithm),
        "workers": workers,
        "hosts": scenario.topology.hosts,
        "seed": scenario.seed,
        "simulated_time_s": end,
        "steps": int(per_worker) if per_worker.is_integer() else per_worker,
        "samples": progress.samples,
        "samples_applied": progress.samples - progress.dropped,
        "samples_per_s": work / end if end > 0 else None,
        "final_loss": last["test_loss"],
        "final_accuracy": last["test_accuracy"],
        "target_accuracy": target,
        "time_to_target_s": float(reached[0]) if len(reached) else None,
        "bytes_sent": traffic.sent,
        "mean_staleness": float(staleness.mean()) if len(staleness) else None,
        "max_staleness": float(staleness.max()) if len(staleness) else None,
        "breakdown": {f"{kind}_s": spent for kind, spent in zip(SPAN_KINDS, seconds, strict=True)},
        "scaling_efficiency": None,
        **costs_of(scenario, cluster, end),
    }


def costs_of(scenario: Scenario, cluster: Cluster, end: float) -> dict[str, Any]:
    """What was used, whether it worked or waited: devices, processes beside them, money."""
    devices = len(cluster.workers)
    processes = cluster.extra_processes
    prices = scenario.prices
    cost = None
    if prices.device_hour is not None:
        hourly = devices * prices.device_hour + processes * prices.process_hour
        cost = hourly * end / HOUR
    return {"device_hours": devices * end / HOUR, "extra_processes": processes, "cost": cost}
