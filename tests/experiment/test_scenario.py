"""Scenarios: all mistakes at once, each with its place and a remedy."""

import json
import time

import pytest

import scenarios
from simulator.errors import ScenarioError
from simulator.experiment.catalogue import json_schema, registries
from simulator.experiment.document import Document, parse
from simulator.experiment.loading import check, load
from simulator.experiment.scenario import Scenario
from simulator.experiment.settings import dump
from tests.make import scenario


def problems(text, tmp_path=None):
    with pytest.raises(ScenarioError) as caught:
        check(parse(text, "x.yaml", tmp_path or __import__("pathlib").Path()))
    return str(caught.value).splitlines()


FIVE = """\
topology: {kind: star, hosts: 0}
workload: {compute: 25 Gbit/s}
learning:
  optimizer: {kind: sgd, momentun: 0.9}
algorithm: {kind: layerd-sgd}
stop: {steps: many}
"""


def test_five_mistakes_give_five_located_messages():
    assert problems(FIVE) == [
        "x.yaml:1:24: topology.hosts: must be greater than or equal to 1, not 0",
        "x.yaml:2:12: workload.compute: '25 Gbit/s' is a rate; expected a time such as '10 us'",
        "x.yaml:4:26: learning.optimizer.momentun: no such setting; did you mean 'momentum'?",
        "x.yaml:5:13: algorithm: no kind 'layerd-sgd'; did you mean 'layered-sgd'?",
        "x.yaml:6:8: stop.steps: expected a whole number, not 'many'",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "algorithm: {kind: k-avg, momentum: 0.9}",
            "x.yaml:1:26: algorithm.momentum: k-avg has no momentum: its specification is without",
        ),
        (
            "algorithm: {kind: local-sgd, momentum: 0.9}",
            "algorithm.momentum: is no setting of local-sgd; it is learning.optimizer.momentum",
        ),
        (
            "algorithm: {kind: slowmo, base: async-ps}",
            "algorithm.base: async-ps cannot be the base of another method",
        ),
        (
            "algorithm: {kind: slowmo, base: {kind: sgp, pers: 2}}",
            "algorithm.base.pers: no such setting; did you mean 'peers'?",
        ),
        (
            "algorithm: {kind: topk-sgd, k: 5000}",
            "algorithm: k is 5,000, but the model has only 4,810 parameters",
        ),
        (
            "algorithm: {kind: hier-avg, k1: 9}",
            "algorithm: k1 = 9 never acts: it is more than k2 = 8",
        ),
        (
            "algorithm: {kind: slowmo, base: {kind: hier-avg, group_size: 3}}",
            "algorithm: groups of 3 do not divide 8 workers",
        ),
        (
            "algorithm: {kind: slowmo, base: {kind: delayed-averaging, delay: 9}}",
            "algorithm: delay 9 is longer than the period",
        ),
        (
            "algorithm: {kind: gs-sgd, rows: 1000000}",
            "algorithm.rows: must be less than or equal to",
        ),
        ("algorithm: {kind: hier-avg, k1: 0}", "algorithm.k1: must be greater than or equal to 1"),
        (
            "algorithm: {kind: hier-avg, group_size: 3}",
            "algorithm: groups of 3 do not divide 8 workers; possible: 1, 2, 4, 8",
        ),
        (
            "algorithm: {kind: wagma, group_size: 3}",
            "algorithm: groups of 3 make no butterfly; use a power of two",
        ),
        (
            "topology: {hosts: 6, gpus_per_host: 0}\nalgorithm: {kind: wagma, group_size: 2}",
            "algorithm: groups of 2 make no butterfly of 6 workers; use a power of two of workers",
        ),
        (
            "algorithm: {kind: delayed-averaging, delay: 9}",
            "algorithm: delay 9 is longer than the period of 8 steps",
        ),
        (
            "algorithm: {kind: backup-workers, backup: 8}",
            "algorithm: 8 backup workers leave none of 8 to wait for; at most 7",
        ),
        ("stragglers: [{factor: 2}]", "stragglers.0: needs a kind"),
        ("algorithm: {kind: slowmo, base: {kind: slowmo}}", "algorithm.base: slowmo cannot be the"),
        ("seeds: 3", "x.yaml:1:1: seeds: no such setting; did you mean 'seed'?"),
        ("topology: {kind: tours}", "topology: no kind 'tours'; did you mean 'torus'?"),
        ("topology: {hosts: 2.0}", "topology.hosts: expected a whole number, not 2.0"),
        ("topology: {hosts: true}", "topology.hosts: expected a whole number, not True"),
        ("topology: {hosts: '2'}", "topology.hosts: expected a whole number, not '2'"),
        (
            "topology: {host_link: {bandwidth: 0}}",
            "topology.host_link.bandwidth: 0 is zero; expected a rate",
        ),
        (
            "topology: {host_link: {latency: -1 us}}",
            "topology.host_link.latency: '-1 us' is negative",
        ),
        ("workload: {compute: .nan}", "workload.compute: nan is not finite"),
        ("workload: {compute: .inf}", "workload.compute: inf is not finite"),
        ("workload: {gradient: 5 apples}", "no unit 'apples'"),
        ("workload: 5", "workload: expected a mapping, not 5"),
        ("workload: {noise: {kind: lognormal, sigma: .inf}}", "workload.noise.sigma: must be"),
        ("learning: {dtype: float16}", "learning.dtype: no such choice 'float16'"),
        (
            "learning: {model: {kind: mlp, hidden: 64}}",
            "learning.model.hidden: expected a list",
        ),
        ("learning: {model: {kind: mlp, hidden: [64, -1]}}", "learning.model.hidden.1: must be"),
        (
            "learning: {optimizer: {nesterov: true}}",
            "learning.optimizer.nesterov: needs a momentum above 0",
        ),
        (
            "network: {all_reduce: rign}",
            "network.all_reduce: no such choice 'rign'; did you mean 'ring'?",
        ),
        ("stop: {steps: null}", "stop: says nothing; give steps,"),
        ("stop: {target_accuracy: 0.9}", "stop.target_accuracy: may never be reached; give steps"),
        (
            "stop: {time: 5 s}\nworkload: {compute: 0}",
            "workload.compute: is zero, so time may stand",
        ),
        (
            "algorithm: {kind: layered-sgd, group_size: 3}",
            "algorithm: groups of 3 do not divide 8 workers",
        ),
        (
            "stragglers: [{kind: slow-workers, workers: [9]}]",
            "x.yaml:1:14: stragglers.0: there is no worker 9",
        ),
        (
            "stragglers: [{kind: slow-workers, factor: x, count: 1}]",
            "stragglers.0.factor: expected a number",
        ),
        (
            "failures: {losses: [{kind: fire}]}",
            "failures.losses.0: no kind 'fire'; known: preemption",
        ),
        (
            "topology: {hosts: 1000}\nlearning: {dataset: wine}",
            "learning.partition: 4000 workers but only 142",
        ),
        ("learning: {dataset: wine, model: cnn}", "learning.model: wine has no images"),
        (
            "learning: {dataset: regression, model: quadratic}\nevaluate: {target_accuracy: 0.5}",
            "evaluate.target_accuracy: regression is a regression problem",
        ),
        (
            "learning: {partition: {kind: label-shards, shards_per_worker: 500}}",
            "4000 label shards but only",
        ),
        ("storage: {kind: local-disk, latency: soon}", "storage.latency: 'soon' is not a number"),
        (
            "learning: {model: {kind: mlp, hidden: [1000000000]}}",
            "learning.model: 75,000,000,010 parameters for 8 workers need about 9,600 GB",
        ),
        (
            "learning: {dataset: {kind: classification, samples: 1000000000}}",
            "learning.dataset: 1,000,000,000 samples of 64 features are too many",
        ),
        ("workload: {compute: 1e300}", "workload.compute: 1e+300 is more than 1000000000 s"),
        (
            "topology: {host_link: {bandwidth: 1e-300}}",
            "topology.host_link.bandwidth: 1e-300 is less than 1 bit/s",
        ),
        ("topology: {hosts: 100000000}", "topology.hosts: must be less than or equal to 100000"),
        ("evaluate: {every: 0 samples}", "evaluate.every: '0 samples' is zero"),
    ],
)
def test_messages_name_place_value_and_remedy(text, message):
    assert message in "\n".join(problems(text))


def test_a_flood_of_mistakes_is_cut():
    """S03: the first twenty and a count, quickly."""
    start = time.process_time()
    lines = problems("\n".join(f"wrong{n}: 1" for n in range(3000)))
    assert len(lines) == 21
    assert lines[-1] == "... and 2980 more problems"
    huge = problems("wrong:\n" + "\n".join(f"- {n}" for n in range(100_000)))
    assert "more than 10,000 values" in huge[0]
    assert time.process_time() - start < 4


@pytest.mark.parametrize("name", scenarios.names())
def test_shipped_scenarios_open_with_a_question_and_are_valid(name):
    first = scenarios.path(name).read_text().splitlines()[0]
    assert first.startswith("# ")
    assert "?" in first
    assert load(name).resolved()


def test_the_resolved_scenario_is_the_same_scenario():
    """Every default is filled in, and reading it again changes nothing."""
    for name in scenarios.names():
        made = load(name)
        again = check(Document(made.resolved(), "r", made.folder))
        assert again == made
        assert again.config_hash() == made.config_hash()


def test_an_empty_scenario_has_defaults_for_everything():
    assert check(parse("{}", "x", __import__("pathlib").Path())) == Scenario()
    assert dump(Scenario(), units=True)["topology"]["host_link"] == {
        "bandwidth": "10 Gbit/s",
        "latency": "10 us",
    }


@pytest.mark.parametrize(
    ("text", "value"), [("dataset: wine", "wine"), ("dataset: {kind: wine}", "wine")]
)
def test_a_kind_without_settings_may_be_given_by_name(text, value):
    assert (
        check(
            parse(f"learning: {{{text}}}", "x", __import__("pathlib").Path())
        ).learning.dataset.kind
        == value
    )


def test_the_hash_is_over_values_not_spelling():
    one = scenario(workload={"compute": "50 ms"})
    assert scenario(workload={"compute": 0.05}).config_hash() == one.config_hash()
    assert (
        scenario(workload={"compute": "50 ms"}, name="other", record={"spans": False}).config_hash()
        == one.config_hash()
    )
    assert scenario(workload={"compute": "51 ms"}).config_hash() != one.config_hash()
    assert scenario(seed=1).config_hash() != one.config_hash()


def test_a_new_model_version_makes_new_hashes(monkeypatch):
    """E06."""
    before = scenario().config_hash()
    monkeypatch.setattr("simulator.experiment.scenario.MODEL_VERSION", 99)
    assert scenario().config_hash() != before


def test_overrides_go_through_the_same_schema():
    made = load(
        "quickstart", ["topology.host_link.bandwidth=100 Gbit/s", "learning.model.hidden=[8, 8]"]
    )
    assert made.topology.host_link.bandwidth == 100e9
    assert made.learning.model.hidden == (8, 8)
    with pytest.raises(ScenarioError) as caught:
        load("quickstart", ["topology.host_link.bandwith=1", "stragglers.0.factor=fast"])
    assert str(caught.value).splitlines() == [
        "-S topology.host_link.bandwith=1: topology.host_link.bandwith: no such setting; "
        "did you mean 'bandwidth'?",
        "-S stragglers.0.factor=fast: stragglers.0.factor: expected a number, not 'fast'",
    ]


def test_a_new_kind_drops_the_old_settings_and_says_so(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("algorithm: {kind: local-sgd, period: 4}")
    notes = []
    made = load(path, ["algorithm.compensation=0.5", "algorithm.kind=dc-s3gd"], notes=notes)
    assert made.algorithm.compensation == 0.5
    assert "dropped period" in notes[0]


@pytest.mark.parametrize("text", ["algorithm.kind", "=3", "a..b=3", ""])
def test_overrides_that_are_none(text):
    with pytest.raises(ScenarioError, match="expected path=value"):
        load("quickstart", [text])


def test_an_unknown_name_is_answered_with_a_suggestion():
    with pytest.raises(ScenarioError, match="did you mean 'quickstart'"):
        load("quickstrat")


@pytest.mark.parametrize(
    "reference",
    [
        "../../outside.npz",
        "/etc/hostname",
        "/dev/zero",
        "http://example.org/x.npz",
        "missing.npz",
        "folder",
        "fifo",
    ],
)
def test_files_outside_the_project_are_not_read(tmp_path, reference):
    """S08."""
    import os

    project = tmp_path / "a" / "project"
    (project / "folder").mkdir(parents=True)
    (project / "pyproject.toml").write_text("")
    (tmp_path / "outside.npz").write_text("secret")
    os.mkfifo(project / "fifo")
    path = project / "x.yaml"
    path.write_text(f"learning: {{dataset: {{kind: npz, path: '{reference}'}}}}")
    with pytest.raises(ScenarioError, match=r"x.yaml:1:12: learning.dataset: ") as caught:
        load(path)
    assert "secret" not in str(caught.value)


def test_files_inside_the_project_count_by_content(tmp_path):
    import numpy as np

    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "sub").mkdir()
    path = tmp_path / "sub" / "x.yaml"
    path.write_text("learning: {dataset: {kind: npz, path: ../own.npz}}")
    hashes = []
    for value in (1.0, 2.0):
        np.savez(
            tmp_path / "own.npz", x=np.arange(80.0).reshape(40, 2) * value, y=np.arange(40) % 2
        )
        made = load(path)
        assert made.data().classes == 2
        hashes.append(made.config_hash())
    assert hashes[0] != hashes[1]


def test_the_schema_knows_every_kind():
    schema = json.dumps(json_schema())
    for registry in registries().values():
        for kind in registry:
            assert f'"{kind}"' in schema


def test_impossible_combinations_are_reported_beside_wrong_settings():
    text = """\
algorithm: {kind: layered-sgd, group_size: 3}
stragglers: [{kind: slow-workers, count: 9}]
learning:
  partition: {kind: label-shards, shards_per_worker: 500}
  optimizer: {momentum: 1.5}
"""
    assert [line.split(": ")[1] for line in problems(text)] == [
        "learning.optimizer.momentum",
        "algorithm",
        "stragglers.0",
        "learning.partition",
    ]
