"""Settings that would end in an error of the program's own, or take for ever, are refused."""

import pytest

from simulator.engine import Streams
from simulator.errors import DataError, ScenarioError
from simulator.experiment.hardware import graph_of, layout_of, slow_links
from tests.make import scenario


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workload": {"compute": [1, 2]}}, "workload.compute: "),
        ({"failures": {"restart": [1]}}, "failures.restart: "),
        ({"storage": {"kind": "shared-filesystem", "latency": [1]}}, "storage.latency: "),
        ({"stragglers": [{"kind": "random-workers", "delay": [1]}]}, "stragglers.0.delay: "),
        (
            {"storage": {"kind": "object-store"}, "workload": {"sample": "1 PB"}},
            "storage.object: makes 64,000,000,000 objects of a batch; at most 100,000",
        ),
        (
            {"stragglers": [{"kind": "periodic", "period": "1 ns", "duration": "0.1 ns"}]},
            "stragglers.0: period is 1e-09 s; the least that can be simulated is 0.0001 s",
        ),
        (
            {"stragglers": [{"kind": "markov", "slow": "1 ns"}]},
            "stragglers.0: slow is 1e-09 s; the least",
        ),
        (
            {"share": "equal-time", "workload": {"batch_size": 200_000_000}},
            "800,000,000 samples a step are too many to be divided",
        ),
        (
            {"hosts": [{"hosts": "0-1", "speed": 2}, {"hosts": 1, "speed": 3}]},
            "hosts.1.hosts: names host 1, which entry 0 names already",
        ),
        ({"stragglers": 5}, "stragglers: expected a list, not 5"),
    ],
)
def test_refused(changes, message):
    with pytest.raises(ScenarioError) as raised:
        scenario(**changes)
    assert message in str(raised.value)


def test_numbers_in_files_have_limits_too(tmp_path):
    from simulator.cluster.recorded import read_values

    (tmp_path / "t.csv").write_text("step_time_s\n1\n1e308\n")
    with pytest.raises(DataError, match=r"t.csv:3: step_time_s is '1e308', more than 1e\+15"):
        read_values(str(tmp_path / "t.csv"), "step_time_s")


def test_a_link_between_two_slow_hosts_is_slow_once():
    made = scenario(
        topology={"kind": "ring", "hosts": 4, "gpus_per_host": 0},
        stragglers=[{"kind": "slow-links", "hosts": "0-1", "factor": 0.5}],
    )
    graph = graph_of(made)
    changes = slow_links(made.stragglers, graph, layout_of(graph), Streams(0))
    pairs = [frozenset((change.source, change.target)) for change in changes]
    assert len(pairs) == len(set(pairs)) == 3
