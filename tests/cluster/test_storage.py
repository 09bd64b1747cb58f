"""Storage against queueing theory, list scheduling and sharing by hand."""

import math

import numpy as np
import pytest
import simpy
from hypothesis import given
from hypothesis import strategies as st

from simulator.cluster.layout import Layout
from simulator.cluster.randomtimes import Constant, Exponential, Lognormal
from simulator.cluster.storage import LocalDisk, ObjectStore, Site
from simulator.engine import Clock, Streams
from simulator.errors import ScenarioError
from simulator.experiment.run import build
from tests.make import scenario, simulate

SEED = 11
BYTE_A_SECOND = 8.0  # bit/s


def site(hosts):
    """Workers on hosts of these numbers, without a network."""
    nodes = tuple(f"host{number}" for number in range(max(hosts) + 1))
    where = [nodes[number] for number in hosts]
    return Site(
        Clock(), None, where, None, Layout(tuple(hosts), tuple(hosts), nodes), Streams(SEED)
    )


def departures(place, store, arrivals, workers, nbytes):
    """When every read is done; read i is of ``workers[i]`` and begins at ``arrivals[i]``."""
    env, done = place.env, np.full(len(arrivals), np.nan)

    def note(number):
        def over(_):
            done[number] = env.now

        return over

    def send():
        for number, (at, worker) in enumerate(zip(arrivals, workers, strict=True)):
            yield env.timeout(at - env.now)
            store.read(worker, nbytes).callbacks.append(note(number))

    env.process(send())
    env.run()
    return done


def lindley(arrivals, services):
    """Departures of a queue with one server, first come first served."""
    done, free = [], 0.0
    for at, service in zip(arrivals, services, strict=True):
        free = max(at, free) + service
        done.append(free)
    return np.array(done)


def standard_error(values, batches=25):
    """Of the mean of correlated values, by batch means."""
    means = np.asarray(values).reshape(batches, -1).mean(1)
    return means.std(ddof=1) / math.sqrt(batches)


@pytest.mark.parametrize("rho", [0.3, 0.7])
@pytest.mark.parametrize("law", ["M/D/1", "M/M/1"])
def test_a_shared_disk_is_a_queue(law, rho):
    """Mean waits of Pollaczek and Khinchine; every departure is Lindley's.

    Reads that are of no batch draw from a stream of their own."""
    count, service = 50_000, 0.01
    rng = np.random.default_rng(5)
    arrivals = np.cumsum(rng.exponential(service / rho, count))
    workers = rng.integers(0, 3, count)
    if law == "M/D/1":
        disk, nbytes = LocalDisk(bandwidth=BYTE_A_SECOND, shared=True), service
        services = np.full(count, service)
        expected = rho * service / (2 * (1 - rho))
    else:
        disk, nbytes = LocalDisk(latency=Exponential(service), bandwidth=1e18, shared=True), 1e-9
        own = [
            iter(Streams(SEED).get("checkpoint", w).exponential(service, count)) for w in range(3)
        ]
        services = np.array([next(own[worker]) for worker in workers])
        expected = rho * service / (1 - rho)
    place = site([0, 0, 0])
    done = departures(place, disk.mount(place), arrivals, workers.tolist(), nbytes)
    np.testing.assert_allclose(done, lindley(arrivals, services), rtol=1e-9)
    waits = done - arrivals - services
    assert abs(waits.mean() - expected) < 3 * standard_error(waits) < 0.15 * expected


def test_every_host_has_a_disk_and_writes_queue_with_reads():
    place = site([0, 0, 1])
    store = LocalDisk(latency=Constant(1.0), bandwidth=BYTE_A_SECOND, shared=True).mount(place)
    ends = {}
    asked = {
        "first": store.read(0, 2.0),
        "second": store.write(1, 3.0),
        "other": store.read(2, 4.0),
    }
    for name, event in asked.items():
        event.callbacks.append(lambda _, name=name: ends.update({name: place.env.now}))
    place.env.run()
    assert ends == {"first": 3.0, "second": 7.0, "other": 5.0}


def test_workers_of_a_host_wait_for_each_other_at_its_disk():
    """All ask at once: the k-th of four waits for k reads."""
    result = simulate(
        topology={"hosts": 1, "gpus_per_host": 4},
        workload={"noise": "none", "sample": "1 MB", "batch_size": 10},
        storage={"kind": "local-disk", "shared": True, "bandwidth": "1 Gbit/s", "latency": "5 ms"},
        stop={"steps": 1},
    )
    assert first_reads(result) == pytest.approx([0.085, 0.17, 0.255, 0.34])


# -- a file system behind the network ---------------------------------------------------

NIC, STORAGE, NBYTES = 10e9, 4e9, 64 * 110_000.0


def shared(hosts=3, fidelity="flow", latency=0.0, bandwidth=STORAGE, **changes):
    """Result of hosts with one worker each, that read from a shared file system."""
    storage = {"kind": "shared-filesystem", "bandwidth": bandwidth, "latency": latency}
    quiet = {"gradient": "1 kB", "noise": "none", "sample": "110 kB"}
    star = {"hosts": hosts, "gpus_per_host": 0, "host_link": {"bandwidth": NIC, "latency": 1e-5}}
    return simulate(
        topology=star | changes.pop("topology", {}),
        storage=storage,
        workload=quiet | changes.pop("workload", {}),
        network={"fidelity": fidelity, "all_reduce": "ring"},
        stop={"steps": 1} | changes.pop("stop", {}),
        **changes,
    )


def spans(result, lane, kind, worker):
    """Begin and end of the spans of one worker's lane."""
    table = result.tables["spans"]
    kept = (np.array(table["lane"]) == lane) & (np.array(table["kind"]) == kind)
    kept &= table["worker"] == worker
    return list(zip(table["start_s"][kept].tolist(), table["end_s"][kept].tolist(), strict=True))


def first_reads(result):
    """When every worker has its first batch, which it asked for at 0; 0 for at once."""
    first = [spans(result, "worker", "io", worker) for worker in range(result.summary["workers"])]
    return [own[0][1] if own and own[0][0] == 0.0 else 0.0 for own in first]


@pytest.mark.parametrize("fidelity", ["flow", "message"])
@pytest.mark.parametrize("hosts", [1, 2, 5])
def test_all_hosts_share_the_link_of_the_storage(hosts, fidelity):
    rate = min(NIC, STORAGE / hosts)
    got = first_reads(shared(hosts, fidelity, latency=0.25))
    assert got == pytest.approx([0.25 + 2e-5 + 8 * NBYTES / rate] * hosts, rel=1e-9)


def test_a_host_reads_no_faster_than_its_own_link():
    assert first_reads(shared(2, bandwidth=1e12)) == pytest.approx([2e-5 + 8 * NBYTES / NIC] * 2)


def test_workers_of_a_host_share_its_link():
    got = first_reads(shared(2, bandwidth=1e12, topology={"gpus_per_host": 4}))
    assert got == pytest.approx([2e-5 + 4 * 8 * NBYTES / NIC] * 8)


def test_in_alpha_beta_readers_queue_at_the_storage():
    got = first_reads(shared(3, "alpha-beta", latency=0.25))
    expected = [0.25 + 2e-5 + place * 8 * NBYTES / STORAGE for place in (1, 2, 3)]
    assert sorted(got) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("fidelity", ["flow", "message"])
@pytest.mark.parametrize(("read", "gradient"), [(40e6, 100e6), (100e6, 40e6)])
def test_reads_and_an_all_reduce_share_a_hosts_link(read, gradient, fidelity):
    """Both want all of the link into a host: half for each until the smaller is over.

    A ring of two sends the gradient's bytes into each host.  The second read of DC-S3GD
    begins with the first all-reduce.
    """
    result = shared(
        2,
        fidelity,
        bandwidth=1e12,
        topology={"host_link": {"bandwidth": NIC, "latency": 0}},
        workload={"compute": "1 s", "gradient": gradient, "sample": read / 64, "batch_size": 64},
        algorithm={"kind": "dc-s3gd"},
        stop={"steps": 2},
    )
    begin, byte = 8 * read / NIC + 1, 8 / NIC
    both = 2 * min(read, gradient) * byte
    for worker in (0, 1):
        _, second = spans(result, "worker", "io", worker)
        reads_until = both if read < gradient else (read + gradient) * byte
        assert second == pytest.approx((begin, begin + reads_until))
        ((since, until),) = spans(result, "overlap", "communication", worker)
        reduces_until = both if gradient < read else (read + gradient) * byte
        assert (since, until) == pytest.approx((begin, begin + reduces_until))


def test_writes_go_to_the_storage():
    """Two hosts write at once, one of them reads: the ways do not disturb each other."""
    cluster, _ = build(
        scenario(
            topology={"hosts": 2, "gpus_per_host": 0, "host_link": {"bandwidth": NIC}},
            storage={"kind": "shared-filesystem", "bandwidth": STORAGE, "latency": "1 s"},
        )
    )
    env, store, ends = cluster.env, cluster.store, []
    for event in (store.write(0, 1e9), store.write(1, 1e9), store.read(0, 1e9)):
        event.callbacks.append(lambda _: ends.append(env.now))
    env.run(until=10)
    assert ends == pytest.approx([1 + 2e-5 + 2, 1 + 2e-5 + 4, 1 + 2e-5 + 4])
    cluster.close(env.now)
    links, carried = cluster.network.links, cluster.network.traffic(env.now).nbytes
    named = dict(zip(links.ends, carried.tolist(), strict=True))
    assert named["switch0", "storage0"] == pytest.approx(2e9)
    assert named["storage0", "switch0"] == pytest.approx(1e9)


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
def test_without_a_switch_host_0_is_the_storage(fidelity):
    """It reads from itself at once, the others over a link of their own."""
    got = first_reads(shared(4, fidelity, latency=0.5, topology={"kind": "fully-connected"}))
    assert got == pytest.approx([0.5] + [0.5 + 1e-5 + 8 * NBYTES / NIC] * 3, rel=1e-9)


@pytest.mark.parametrize("fidelity", ["alpha-beta", "flow", "message"])
def test_in_a_ring_reads_share_the_links_between_hosts(fidelity):
    """Host 2 has no link to host 0: its batch shares the one of a neighbour with that's own.

    It sets out one latency later, so the neighbour's is alone for that time, and it is alone
    for as long at the end.  In alpha-beta one waits for the other.
    """
    first, *got = first_reads(shared(4, fidelity, latency=0.5, topology={"kind": "ring"}))
    assert first == 0.5
    once, a = 8 * NBYTES / NIC, 1e-5
    queued = fidelity == "alpha-beta"
    near, far = (once + a, 2 * once + 2 * a) if queued else (2 * once, 2 * once + a)
    assert sorted(time - 0.5 for time in got) == pytest.approx([once + a, near, far], rel=1e-9)


# -- objects -----------------------------------------------------------------------------


def requests_one_by_one(latencies, transfer, connections):
    """Connections as a SimPy resource: when the last of the objects is there."""
    env = simpy.Environment()
    free = simpy.Resource(env, connections)

    def request(latency):
        with free.request() as mine:
            yield mine
            yield env.timeout(latency + transfer)

    for latency in latencies:
        env.process(request(latency))
    env.run()
    return env.now


@given(
    st.integers(1, 80),
    st.integers(1, 20),
    st.floats(0.0, 2.0),
    st.floats(0.01, 1.0),
)
def test_objects_are_fetched_over_the_next_free_connection(count, connections, sigma, part):
    model = ObjectStore(
        latency=Lognormal(0.15, sigma), bandwidth=700e6, connections=connections, object=1e6
    )
    place = site([0, 0])
    store = model.mount(place)
    nbytes = (count - 1 + part) * 1e6
    for worker in (0, 1):
        latencies = 0.15 * np.exp(sigma * Streams(SEED).get("load", worker).standard_normal(count))
        expected = requests_one_by_one(latencies, nbytes / count * 8 / 700e6, connections)
        assert store.seconds(worker, nbytes, 0) == pytest.approx(expected, rel=1e-12)
    assert store.seconds(0, 0.0, 0) == 0.0


@given(st.integers(1, 60), st.integers(1, 30), st.integers(1, 30), st.floats(0.0, 2.0))
def test_more_connections_are_never_slower(count, few, more, sigma):
    def seconds(connections):
        model = ObjectStore(latency=Lognormal(0.1, sigma), connections=connections)
        return model.mount(site([0])).seconds(0, count * 1e6, 0)

    assert seconds(few + more) <= seconds(few) * (1 + 1e-12)
    one = seconds(count)
    assert seconds(count + more) == one  # a connection for every object


def test_an_object_store_gives_a_first_batch_after_latency_and_throughput():
    """10 objects on 5 connections: two rounds of 100 ms and 1 MB at 80 Mbit/s."""
    result = simulate(
        topology={"hosts": 2, "gpus_per_host": 0},
        workload={"noise": "none", "sample": "1 MB", "batch_size": 10},
        storage={
            "kind": "object-store",
            "latency": "100 ms",
            "bandwidth": "80 Mbit/s",
            "connections": 5,
        },
        stop={"steps": 1},
    )
    assert first_reads(result) == pytest.approx([0.4, 0.4])


@pytest.mark.parametrize(
    ("storage", "message"),
    [
        ({"kind": "local-disk", "num_workers": -1}, "storage.num_workers: .* 0, not -1"),
        ({"kind": "local-disk", "read_ahead": -2}, "storage.read_ahead: .* 0, not -2"),
        ({"kind": "local-disk", "bandwidth": 0}, "storage.bandwidth: 0 is zero; expected a rate"),
        ({"kind": "shared-filesystem", "bandwidth": "1 GB"}, "'1 GB' is a size; expected a rate"),
        ({"kind": "object-store", "connections": 0}, "storage.connections: .* 1, not 0"),
        ({"kind": "object-store", "object": "0 B"}, "storage.object: '0 B' is zero"),
        ({"kind": "local-disk", "decode": "-1 ms"}, "storage.decode: '-1 ms' is negative"),
        ({"kind": "local-disc"}, "storage: no kind 'local-disc'; did you mean 'local-disk'"),
        ({"kind": "local-disk", "share": True}, "storage.share: no such setting; .*'shared'"),
    ],
)
def test_bad_settings_are_refused(storage, message):
    with pytest.raises(ScenarioError, match=message):
        scenario(storage=storage)
