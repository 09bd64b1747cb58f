"""What a run cost on this machine: wall time, CPU time and memory, for the manifest."""

from __future__ import annotations

import datetime
import resource
import socket
import sys
import time
from typing import Any

from simulator.experiment.result import Result
from simulator.experiment.run import run
from simulator.experiment.scenario import Scenario


def measured(scenario: Scenario) -> tuple[Result, dict[str, Any]]:
    """Run *scenario*; its result and the volatile facts about the run."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run(scenario)
    return result, {
        "wall_s": round(time.perf_counter() - wall, 3),
        "cpu_s": round(time.process_time() - cpu, 3),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "host": socket.gethostname(),
        "argv": sys.argv,
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
