"""The kind `file`: a cluster that a file describes."""

import copy

import pytest

from simulator.errors import TopologyError
from simulator.experiment.settings import dump, settings_for
from simulator.registry import Checked
from topologies import TOPOLOGIES, LinkSpec, Star, check, worker_nodes
from topologies.builders import Imported, Ring
from topologies.writers import write_topology


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "cluster.json"
    write_topology(Star(hosts=3, gpus_per_host=0).build(), file)
    return str(file)


def test_a_file_is_a_cluster_like_any_other(path):
    topology = Imported(path)
    assert (topology.hosts, topology.workers) == (3, 3)
    assert list(topology.build()) == ["switch0", "host0", "host1", "host2"]
    assert topology.with_hosts(3) == topology
    assert isinstance(topology, Checked)
    topology.check(topology.workers, topology.hosts)
    assert topology.build() is not topology.build()


def test_it_is_a_kind_of_scenarios(path):
    assert TOPOLOGIES["file"] is Imported
    model = settings_for(Imported)
    settings = {"kind": "file", "path": path, "bandwidth": "10 Gbit/s", "latency": "1 us"}
    topology = model.model_validate(settings).build()
    assert topology == Imported(path, 10e9, 1e-6)
    assert dump(topology, units=True)["bandwidth"] == "10 Gbit/s"
    assert topology.hosts == 3
    assert copy.deepcopy(topology) == topology  # and its books


def test_hosts_can_be_given_gpus(path):
    topology = Imported(path, gpus_per_host=2, intra_host=LinkSpec(5e9, 1e-6))
    assert (topology.hosts, topology.workers) == (3, 6)
    graph = topology.build()
    check(graph)
    assert worker_nodes(graph)[:3] == ["host0.gpu0", "host0.gpu1", "host1.gpu0"]
    assert graph.edges["host2", "host2.gpu1"] == {"bandwidth": 5e9, "latency": 1e-6}


def test_also_in_a_directed_graph(tmp_path):
    file = tmp_path / "x.json"
    write_topology(Ring(3, 0).build().to_directed(), file)
    graph = Imported(str(file), gpus_per_host=1).build()
    check(graph)
    assert len(worker_nodes(graph)) == 3


def test_defaults_fill_in_what_a_file_leaves_out(tmp_path):
    file = tmp_path / "topology.conf"
    file.write_text("SwitchName=s Nodes=tux[0-3]")
    assert Imported(str(file), 1e9, 2e-6).build().edges["s", "tux3"]["latency"] == 2e-6
    for attempt in (lambda one: one.hosts, lambda one: one.build(), lambda one: one.check(1, 1)):
        with pytest.raises(TopologyError, match="says nothing of bandwidth and latency"):
            attempt(Imported(str(file), 1e9))


def test_a_file_has_one_size(path):
    with pytest.raises(TopologyError, match=r"cluster\.json has 3 hosts and cannot be given 4"):
        Imported(path).with_hosts(4)


def test_gpus_are_added_where_there_are_none(tmp_path):
    file = tmp_path / "gpus.csv"
    write_topology(Star(2, 2).build(), file)
    assert Imported(str(file)).workers == 4
    with pytest.raises(TopologyError, match="has GPUs of its own"):
        Imported(str(file), gpus_per_host=2).build()
    file.write_text("h,h.gpu0,1e9,0,host,host")
    with pytest.raises(TopologyError, match=r"has a node 'h\.gpu0' already"):
        Imported(str(file), gpus_per_host=1).build()
