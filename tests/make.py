"""Short ways to make scenarios and clusters in tests."""

from pathlib import Path

import pytest

from simulator.errors import ScenarioError
from simulator.experiment.document import Document
from simulator.experiment.loading import check, load
from simulator.experiment.run import build, run

SMALL = {
    "topology": {"kind": "star", "hosts": 2, "gpus_per_host": 2},
    "workload": {
        "gradient": "10 MB",
        "compute": "50 ms",
        "noise": {"kind": "lognormal", "sigma": 0.3},
    },
    "learning": {"model": {"kind": "mlp", "hidden": [8]}, "dataset": "wine", "batch_size": 8},
    "stop": {"steps": 12},
}


def merged(base, changes):
    """*base* with *changes*, mapping by mapping; another kind replaces its mapping."""
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        same = (
            isinstance(value, dict)
            and isinstance(old, dict)
            and (value.get("kind", old.get("kind")) == old.get("kind"))
        )
        result[key] = merged(old, value) if same else value
    return result


def scenario(**changes):
    """A small scenario with *changes*."""
    return check(Document(merged(SMALL, changes), "test.yaml", Path()))


def simulate(stack_limit=None, **changes):
    """Result of a small scenario with *changes*."""
    return run(scenario(**changes), stack_limit=stack_limit)


def played(stack_limit=None, **changes):
    """The cluster of a small scenario after its run."""
    made = scenario(**changes)
    cluster, _ = build(made, stack_limit)
    cluster.run(list(made.algorithm.processes(cluster)))
    return cluster


def refusal(text, folder):
    """What is wrong with the scenario *text*, as ``x.yaml`` in *folder*."""
    (folder / "x.yaml").write_text(text)
    with pytest.raises(ScenarioError) as caught:
        load(folder / "x.yaml")
    return str(caught.value).replace(f"{folder}/", "")
