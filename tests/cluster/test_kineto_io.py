"""A traced job on a V100 with 0 and with 4 loader processes, against the simulation.

ResNet-50, batches of 32, torch.profiler's example job, from github.com/pytorch/kineto
(tb_plugin/samples, BSD-3-Clause); set PACELINE_TRACES to the folder of traces to run this.
"""

import gzip
import hashlib
import json
import os
from pathlib import Path
from statistics import median

import pytest

from tests.make import simulate

FOLDER = Path(os.environ.get("PACELINE_TRACES", "/none")) / "kineto_resnet50_v100_io"
FILES = {
    0: (
        "workers0.worker0.1623143089861.pt.trace.json.gz",
        "a91798b500ce9d6e21c416ce32dcd8ecf4788489df86f59ba2f944906c90b853",
    ),
    4: (
        "workers4.worker0.1623212756351.pt.trace.json.gz",
        "c290eb249e74824736f81886587614fc5d96660d3e60d0c256dee4b4a0e268f6",
    ),
}
BATCH = 32
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="PACELINE_TRACES is not set")


class Traced:
    """The six steps of a trace, in seconds, in order.

    `device` is the time from a step's first kernel to its last: the host is ahead of the
    device, whose work may begin after a step's begin and end after its end.
    """

    def __init__(self, name):
        events = json.loads(gzip.decompress((FOLDER / name).read_bytes()))["traceEvents"]
        events = sorted((e for e in events if "dur" in e), key=lambda e: e["ts"])
        steps = [e for e in events if e["name"].startswith("ProfilerStep#")]
        loads = [e for e in events if e["name"].startswith("enumerate(DataLoader)#")]
        assert len(steps) == len(loads) == 6
        self.step = [e["dur"] / 1e6 for e in steps]
        self.data = [e["dur"] / 1e6 for e in loads]
        self.rest = [step - data for step, data in zip(self.step, self.data, strict=True)]
        on_device = [e for e in events if e.get("cat") in ("Kernel", "Memcpy", "Memset")]
        called = {e["args"]["correlation"]: e["ts"] for e in events if e.get("cat") == "Runtime"}
        self.device, self.beyond = [], []
        for step in steps:
            end = step["ts"] + step["dur"]
            own = [e for e in on_device if step["ts"] <= called[e["args"]["correlation"]] < end]
            last = max(e["ts"] + e["dur"] for e in own)
            self.device.append((last - min(e["ts"] for e in own)) / 1e6)
            self.beyond.append((last - end) / 1e6)
        self.copied = [e["args"]["bytes"] for e in on_device if "HtoD" in e["name"]]


@pytest.fixture(scope="module")
def traces():
    """Of 0 and of 4 loader processes."""
    return {number: Traced(name) for number, (name, _) in FILES.items()}


def simulated(num_workers, compute, data):
    """Median step and median io per step, after those in which the pipeline fills."""
    result = simulate(
        topology={"hosts": 1, "gpus_per_host": 1},
        workload={
            "preset": "resnet50",
            "batch_size": BATCH,
            "compute": compute,
            "noise": "none",
            "gradient": None,
        },
        storage={
            "kind": "local-disk",
            "bandwidth": 1e18,
            "decode": data / BATCH,
            "num_workers": num_workers,
        },
        stop={"steps": 20},
    )
    table = result.tables["steps"]
    steps = (table["end_s"] - table["start_s"])[8:].tolist()
    return median(steps), median(step - compute for step in steps)


@pytest.mark.parametrize("number", FILES)
def test_the_files_are_those_of_the_source(number):
    name, digest = FILES[number]
    assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest


def test_a_batch_is_32_samples_of_the_default_tensor(traces):
    """Samples of 3 x 224 x 224 float32; the labels are 8 bytes each."""
    from simulator.cluster import Workload

    for traced in traces.values():
        assert set(traced.copied) == {BATCH * Workload().tensor_nbytes, BATCH * 8}


def test_the_numbers_of_the_traces(traces):
    blocking, ahead = traces[0], traces[4]
    assert [median(blocking.step), median(blocking.data)] == pytest.approx([0.176273, 0.0698105])
    assert [median(ahead.step), median(ahead.data)] == pytest.approx([0.126548, 0.001311], rel=1e-3)
    assert median(blocking.rest) == pytest.approx(0.1054195)
    assert max(ahead.data) < 0.005


def test_without_loader_processes_a_step_is_as_long_as_the_traced_one(traces):
    traced = traces[0]
    step, io = simulated(0, median(traced.rest), median(traced.data))
    assert step == pytest.approx(median(traced.step), rel=0.05)
    assert io == pytest.approx(median(traced.data), rel=1e-9)


def test_four_loader_processes_hide_loading_as_in_the_trace(traces):
    _, io = simulated(4, median(traces[0].rest), median(traces[0].data))
    assert io < 0.005
    assert max(traces[4].data) < 0.005


def test_what_is_left_of_a_blocking_step_is_too_short_for_a_hidden_one(traces):
    """A step with 4 processes is predicted 17 % too short, and this is why.

    Without loader processes the device goes on for 14 ms after the host's step, while
    the host loads already: step minus data leaves these out.  With 4 it does not.
    """
    blocking, ahead = traces[0], traces[4]
    step, _ = simulated(4, median(blocking.rest), median(blocking.data))
    assert step / median(ahead.step) - 1 == pytest.approx(-0.167, abs=0.002)
    assert median(blocking.beyond) == pytest.approx(0.0138, abs=1e-3)
    assert median(ahead.beyond) == pytest.approx(0.0019, abs=1e-3)


def test_with_the_time_of_the_device_a_hidden_step_is_as_long_as_the_traced_one(traces):
    blocking = traces[0]
    step, io = simulated(4, median(blocking.device), median(blocking.data))
    assert io < 0.005
    assert step == pytest.approx(median(traces[4].step), rel=0.10)
    assert step / median(traces[4].step) - 1 == pytest.approx(-0.063, abs=0.002)
