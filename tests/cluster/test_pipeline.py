"""Input pipelines: read-ahead against ten lines of arithmetic, page caches, and the books."""

import numpy as np
import pytest
import simpy
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.cluster.accounting import Lane
from simulator.cluster.randomtimes import Constant
from simulator.cluster.storage import ObjectStore, Reads
from simulator.cluster.storage.pipeline import Foreseen, Processes
from simulator.engine import Trace
from tests.cluster.test_storage import BYTE_A_SECOND, site
from tests.make import simulate

BATCH = 4


class Listed(Reads):
    """As many bytes as the list says; a byte takes a second."""

    def __init__(self, seconds):
        super().__init__(BATCH, 0.0, 0.0, 0.0)
        self.seconds = seconds

    def nbytes(self, number):
        return self.seconds[number] if number < len(self.seconds) else 0.0


def loaded(kind, seconds, pauses, **pipeline):
    """When a worker gets its batches, and the spans of its loader lane.

    It asks for each of them so many seconds after it got the one before.
    """
    model = ObjectStore(
        latency=Constant(0.0), bandwidth=BYTE_A_SECOND, connections=1, object=1e9, **pipeline
    )
    place, trace, got = site([0]), Trace(), []
    env, lane = place.env, Lane(trace.spans, 0, "worker")
    loader = kind(0, env, lane, model.mount(place), model, Listed(seconds))

    def worker():
        for number, pause in enumerate(pauses):
            yield env.timeout(pause)
            assert (yield loader.take(f"batch {number}")) == f"batch {number}"
            got.append(env.now)

    env.process(worker())
    env.run()
    loader.close(env.now)
    columns = trace.spans.columns()
    return got, np.column_stack([columns["start_s"], columns["end_s"]])


def by_hand(seconds, pauses, processes, depth, copy=0.0):
    """Batch k is loaded by process k mod P once that is free and batch k-d has been taken.

    When the worker gets the batches, when each is loaded, and when it waits.
    """
    free, taken, now, got, loads, waits = [0.0] * processes, [], 0.0, [], [], []
    for k, (load, pause) in enumerate(zip(seconds, pauses, strict=True)):
        now += pause
        room = now if depth == 0 else taken[k - depth] if k >= depth else 0.0
        begin = max(free[k % processes], room)
        free[k % processes] = end = begin + load
        loads.append((begin, end))
        taken.append(max(now, end))
        waits.append((now, taken[-1] + copy))
        now = taken[-1] + copy
        got.append(now)
    return got, loads, waits


def inside(intervals, moments):
    """Whether each moment lies in one of the intervals."""
    return np.array([any(begin < t < end for begin, end in intervals) for t in moments])


@pytest.mark.parametrize("read_ahead", [None, 0, 1, 2, 5])
@pytest.mark.parametrize("num_workers", [0, 1, 2, 4])
@pytest.mark.parametrize("load", [0.5, 2.0, 5.0])  # of a worker that asks after 1 in the mean
def test_batches_are_loaded_in_turn_as_far_ahead_as_there_is_room(load, num_workers, read_ahead):
    rng = np.random.default_rng([num_workers, read_ahead or 7])
    reads, pauses = rng.gamma(0.7, load / 0.7, 60), rng.exponential(1.0, 60)
    decode, copy = rng.uniform(0, 0.2, 2)  # s of a sample, s of a batch
    pipeline = {
        "num_workers": num_workers,
        "read_ahead": read_ahead,
        "decode": decode,
        "host_to_device": 8e6 * BATCH / copy,
        "tensor": 1e6,
    }
    depth = 2 * num_workers if read_ahead is None else read_ahead
    seconds, processes = reads + BATCH * decode, max(1, num_workers)
    expected, loads, waits = by_hand(seconds, pauses, processes, depth, copy)
    moments = rng.uniform(0, expected[-1], 400)
    beside = inside(loads, moments) & ~inside(waits, moments)
    lanes = []
    for kind in (Foreseen, Processes):
        got, lane = loaded(kind, reads.tolist(), pauses.tolist(), **pipeline)
        assert got == pytest.approx(expected, rel=1e-9)
        assert (lane[:, 0] < lane[:, 1]).all()
        assert (lane[1:, 0] >= lane[:-1, 1]).all()
        np.testing.assert_array_equal(inside(lane, moments), beside)
        lanes.append(lane)
    np.testing.assert_allclose(*lanes, rtol=1e-9)


def loader_by_processes(seconds, pauses, depth):
    """A loader process, a bounded buffer and a reader, in plain SimPy."""
    env, ready = simpy.Environment(), []
    buffer, room = simpy.Store(env), simpy.Container(env, depth, depth)

    def loader():
        for duration in seconds:
            yield room.get(1)
            yield env.timeout(duration)
            yield buffer.put(None)

    def reader():
        for pause in pauses:
            yield env.timeout(pause)
            yield buffer.get()
            yield room.put(1)
            ready.append(env.now)

    env.process(loader())
    env.process(reader())
    env.run()
    return ready


@given(
    st.lists(st.tuples(st.floats(0.01, 3), st.floats(0.01, 3)), min_size=1, max_size=25),
    st.integers(1, 5),
)
def test_read_ahead_is_a_loader_process_with_a_bounded_buffer(times, depth):
    seconds, pauses = zip(*times, strict=True)
    expected = loader_by_processes(seconds, pauses, depth)
    for kind in (Foreseen, Processes):
        assert loaded(kind, seconds, pauses, read_ahead=depth)[0] == pytest.approx(expected)


# -- in a run ------------------------------------------------------------------------------

ONE = {"kind": "star", "hosts": 1, "gpus_per_host": 1}
QUIET = {"noise": "none", "batch_size": 20, "sample": "100 kB", "compute": "100 ms"}
READ, DECODE, COPY = 0.16, 0.04, 0.002  # of a batch: 2 MB at 100 Mbit/s; 2 ms and 0.1 ms a sample
DISK = {
    "kind": "local-disk",
    "bandwidth": "100 Mbit/s",
    "decode": DECODE / 20,
    "host_to_device": "8 Gbit/s",
    "tensor": "100 kB",
}
# Here reads do not delay each other.
OWN = {"kind": "object-store", "latency": 0.0, "connections": 1, "object": "1 GB"}


def gaps(compute=0.1, steps=40, storage=(), **disk):
    """Seconds that one worker waits before each of its steps."""
    result = simulate(
        topology=ONE,
        workload=QUIET | {"compute": compute},
        storage=DISK | dict(storage) | disk,
        stop={"steps": steps},
    )
    table = result.tables["steps"]
    waits = table["end_s"] - table["start_s"] - compute
    assert result.summary["breakdown"]["io_s"] == pytest.approx(waits.sum())
    return waits


@pytest.mark.parametrize("shared", [False, True])
def test_without_loader_processes_a_worker_waits_for_all_of_it(shared):
    assert gaps(num_workers=0, shared=shared) == pytest.approx(READ + DECODE + COPY)


def test_without_a_rate_the_copy_to_the_device_is_free():
    assert gaps(num_workers=0, host_to_device=None) == pytest.approx(READ + DECODE)


def test_loaders_that_keep_up_leave_only_the_copy():
    """4 batches in 200 ms, one wanted every 102: all but the first are ready."""
    waits = gaps(num_workers=4, storage=OWN)
    assert waits[0] == pytest.approx(READ + DECODE + COPY)
    assert waits[1:] == pytest.approx(COPY)
    assert gaps(num_workers=4, storage=OWN | {"host_to_device": None})[1:] == pytest.approx(0.0)


@pytest.mark.parametrize("compute", [0.01, 0.03])
def test_loaders_that_do_not_keep_up_set_the_pace(compute):
    """4 batches in 200 ms: one step takes 50 ms in the mean, whatever it computes."""
    waits = gaps(compute, num_workers=4, storage=OWN)
    assert waits[20:40].mean() == pytest.approx((READ + DECODE) / 4 - compute)


def test_one_disk_reads_one_batch_at_a_time():
    """4 processes wait for each other at a shared disk; only decoding is done side by side."""
    waits = gaps(0.01, num_workers=4, shared=True, steps=60)
    assert waits[20:60].mean() == pytest.approx(READ - 0.01)


def test_spans_of_a_loader_and_of_hidden_transfers_have_lanes_of_their_own():
    disk = {"kind": "local-disk", "latency": "20 ms", "read_ahead": 2}
    table = simulate(storage=disk, algorithm={"kind": "dc-s3gd"}).tables["spans"]
    kinds = set(zip(table["lane"], table["kind"], strict=True))
    assert {("worker", "compute"), ("loader", "io"), ("overlap", "communication")} <= kinds
    lanes = set(simulate(algorithm={"kind": "layered-sgd"}).tables["spans"]["lane"])
    assert "communicator" in lanes


# -- page caches ---------------------------------------------------------------------------


WAY = ("storage0", "switch0")


def cached(page_cache, steps, samples=600, algorithm="sync-sgd", **pipeline):
    """Bytes of the reads of each host, in order of time, and all that left the storage.

    Two workers on each host have batches of 20 on host 0 and of 40 on host 1.
    """
    result = simulate(
        topology={"hosts": 2, "gpus_per_host": 2},
        hosts=[{"hosts": [1], "batch_size": 40}],
        workload={**QUIET, "compute": "500 ms", "gradient": "1 kB", "samples": samples},
        storage={"kind": "shared-filesystem", "page_cache": page_cache} | pipeline,
        algorithm={"kind": algorithm},
        stop={"steps": steps},
    )
    rows, links = result.tables["messages"], result.tables["links"]
    reads = {"host0": [], "host1": []}
    for kind, target, nbytes in zip(rows["kind"], rows["target"], rows["nbytes"], strict=True):
        if kind == "read":
            reads[target].append(nbytes)
    left = zip(links["source"], links["target"], links["nbytes"], strict=True)
    (total,) = (nbytes for source, target, nbytes in left if (source, target) == WAY)
    return reads, total


def test_what_the_page_cache_holds_is_read_once():
    """600 samples are 5 steps of 120; 60 MB, of which 20 MB belong to host 0, 40 MB to host 1.

    A cache of 10 MB holds half of the one's and a quarter of the other's.
    """
    reads, total = cached("10 MB", 12)
    assert reads["host0"] == pytest.approx([2e6] * 10 + [1e6] * 14)
    assert reads["host1"] == pytest.approx([4e6] * 10 + [3e6] * 14)
    assert total == pytest.approx(5 * 12e6 + 7 * 8e6)


@pytest.mark.parametrize(("cache", "later"), [("0 B", 12e6), ("20 MB", 4e6), ("40 MB", 0.0)])
def test_the_cache_of_a_host_holds_nothing_of_another(cache, later):
    reads, total = cached(cache, 12)
    assert total == pytest.approx(5 * 12e6 + 7 * later)
    assert min(reads["host0"] + reads["host1"]) > 0  # what is cached is no message at all


def test_a_part_of_a_step_more_is_a_step_more():
    """601 samples end in the sixth step; the parts of the hosts grow with them."""
    reads, _ = cached("10 MB", 7, samples=601)
    assert reads["host0"] == pytest.approx([2e6] * 12 + [2e6 * (1 - 10 / (60.1 / 3))] * 2)


def test_batches_that_were_read_ahead_belong_to_their_own_epoch():
    """They cost the same bytes, some for batches that nobody takes any more."""
    reads, _ = cached("10 MB", 12, num_workers=2)
    assert reads["host0"] == pytest.approx([2e6] * 10 + [1e6] * (len(reads["host0"]) - 10))
    assert len(reads["host0"]) == 2 * (12 + 4)


def test_a_cached_epoch_takes_no_time_but_decoding():
    result = simulate(
        topology=ONE,
        workload=QUIET | {"samples": 40},
        storage=DISK | {"page_cache": "1 GB", "latency": 1.0},
        stop={"steps": 6},
    )
    expected = 2 * (1 + READ) + 6 * (DECODE + COPY)
    assert result.summary["breakdown"]["io_s"] == pytest.approx(expected)


# -- books -----------------------------------------------------------------------------------

SECONDS = st.sampled_from([0.0, 0.003, 0.04])
TIMES = st.one_of(
    SECONDS.map(lambda value: {"kind": "constant", "value": value}),
    st.builds(
        lambda kind, mean: {"kind": kind, "mean": mean},
        st.sampled_from(["exponential", "gamma"]),
        st.sampled_from([0.01, 0.06]),
    ),
)
PIPELINE = {
    "num_workers": st.sampled_from([0, 1, 3]),
    "read_ahead": st.sampled_from([None, 0, 1, 3]),
    "decode": st.sampled_from([0.0, 1e-4, 1e-3]),
    "host_to_device": st.sampled_from([None, 1e10]),
    "page_cache": st.sampled_from([0.0, 1e6]),
    "latency": TIMES,
}
STORED = st.one_of(
    st.fixed_dictionaries(PIPELINE | {"kind": st.just("local-disk"), "shared": st.booleans()}),
    st.fixed_dictionaries(PIPELINE | {"kind": st.just("shared-filesystem")}),
    st.fixed_dictionaries(
        PIPELINE | {"kind": st.just("object-store"), "connections": st.sampled_from([1, 8])}
    ),
)


@pytest.mark.parametrize("kind", ["sync-sgd", "local-sgd", "async-ps", "dc-s3gd", "layered-sgd"])
@settings(max_examples=25)
@given(storage=STORED, fidelity=st.sampled_from(["alpha-beta", "flow", "message"]))
def test_the_books_have_no_gap_and_repeat(kind, storage, fidelity):
    changes = {
        "algorithm": {"kind": kind},
        "storage": storage,
        "network": {"fidelity": fidelity},
        "workload": {"samples": 600},
        "stop": {"steps": 5},
    }
    result = simulate(**changes)
    end = result.summary["simulated_time_s"]
    table = result.tables["spans"]
    for worker in range(4):
        starts, ends = np.array(own_lane(table, worker, "worker")).T
        assert (starts[0], ends[-1]) == (0.0, end)
        assert (starts[1:] == ends[:-1]).all()
        assert (starts < ends).all()
        beside = np.array(own_lane(table, worker, "loader")).reshape(-1, 2)
        assert (beside[1:, 0] >= beside[:-1, 1]).all()
    assert sum(result.summary["breakdown"].values()) == pytest.approx(end, rel=1e-9)
    again = simulate(**changes)
    assert again.summary == result.summary
    for name, columns in result.tables.items():
        for column, values in columns.items():
            np.testing.assert_array_equal(values, again.tables[name][column])


def own_lane(table, worker, lane):
    """Begin and end of all spans of one lane, in order of time."""
    rows = zip(table["worker"], table["lane"], table["start_s"], table["end_s"], strict=True)
    return sorted(
        (start, end) for number, name, start, end in rows if (number, name) == (worker, lane)
    )
