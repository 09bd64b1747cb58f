"""Timelines for trace viewers: Chrome trace events, one file per worker.

Open them in https://ui.perfetto.dev.  Each lane is a thread of its own, since the format
cannot draw overlapping slices on one track.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from simulator.engine.trace import LANES
from simulator.experiment.result import Result


def rank_traces(result: Result) -> Iterator[tuple[int, str]]:
    """(rank, JSON text) for every worker that has spans; times in microseconds."""
    spans = result.tables.get("spans")
    if spans is None:
        return
    events: dict[int, list[dict[str, Any]]] = {}
    rows = zip(
        spans["worker"].tolist(),
        spans["lane"],
        spans["kind"],
        spans["start_s"].tolist(),
        spans["end_s"].tolist(),
        strict=True,
    )
    for worker, lane, kind, start, end in rows:
        events.setdefault(worker, []).append(
            {
                "ph": "X",
                "cat": lane,
                "name": kind,
                "pid": worker,
                "tid": LANES.index(lane),
                "ts": start * 1e6,
                "dur": (end - start) * 1e6,
            }
        )
    for worker in sorted(events):
        names = [
            {"ph": "M", "name": "thread_name", "pid": worker, "tid": number, "args": {"name": lane}}
            for number, lane in enumerate(LANES)
        ]
        document = {
            "schemaVersion": 1,
            "displayTimeUnit": "ms",
            "distributedInfo": {"rank": worker, "world_size": result.summary["workers"]},
            "traceEvents": names + events[worker],
        }
        yield worker, json.dumps(document)
