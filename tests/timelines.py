"""Timelines of docs/algorithms: what every algorithm does on one small cluster.

``python -m tests.timelines [kind ...]`` runs each in the same scenario and draws the first
steps into docs/algorithms/figures.
"""

import sys
import tempfile
from pathlib import Path

from analysis.files import save_plots
from analysis.load import load
from simulator.algorithms import ALGORITHMS
from simulator.experiment.run import run
from simulator.experiment.store import save
from tests.make import merged, scenario

FIGURES = Path(__file__).parents[1] / "docs" / "algorithms" / "figures"
COLOURS = 64  # so that a file is small
CLUSTER = {
    "topology": {
        "kind": "star",
        "hosts": 2,
        "gpus_per_host": 2,
        "host_link": {"bandwidth": "10 Gbit/s", "latency": "10 us"},
        "intra_host": {"bandwidth": "100 Gbit/s", "latency": "5 us"},
    },
    "workload": {
        "gradient": "60 MB",
        "compute": "100 ms",
        "noise": {"kind": "lognormal", "sigma": 0.1},
    },
    "storage": {
        "kind": "local-disk",
        "latency": {"kind": "gamma", "mean": "40 ms", "cv": 0.3},
        "read_ahead": 0,
    },
    "stragglers": [{"kind": "slow-workers", "workers": [3], "factor": 1.5}],
    "stop": {"steps": 5},
}
# Settings other than the default, so that five steps show what is particular.
SETTINGS = {
    "ddp": {"bucket": "15 MB"},
    "delayed-averaging": {"period": 2},
    "downpour": {"push_period": 2},
    "eamsgd": {"period": 2},
    "easgd": {"period": 2},
    "hier-avg": {"k1": 1, "k2": 3},
    "k-avg": {"k": 2},
    "lasgd": {"period": 2},
    "local-sgd": {"period": 2},
    "post-local-sgd": {"period": 2, "switch": 2},
    "sasgd": {"interval": 2},
    "slowmo": {"base": {"kind": "sgp"}, "period": 2},
    "ssp": {"slack": 1},
    "wagma": {"period": 3},
}
# Another cluster, where this one would not show it: messages that do not fill the server's
# link, and a slow worker that is given up.
CHANGES = {
    "backup-workers": {
        "workload": {"gradient": "10 MB"},
        "stragglers": [{"kind": "slow-workers", "workers": [3], "factor": 3.0}],
    }
}


def draw(kind):
    """The file with the timeline of one algorithm."""
    from PIL import Image

    made = scenario(
        **merged(CLUSTER, CHANGES.get(kind, {})), algorithm={"kind": kind, **SETTINGS.get(kind, {})}
    )
    with tempfile.TemporaryDirectory() as folder:
        save(run(made), Path(folder))
        (drawn,) = save_plots(load([folder]), ["timeline"], ["png"], Path(folder))
        target = FIGURES / f"{kind}.png"
        target.parent.mkdir(exist_ok=True)
        with Image.open(drawn) as picture:
            picture.convert("RGB").quantize(COLOURS).save(target, optimize=True)
    return target


def main():
    for kind in sys.argv[1:] or sorted(ALGORITHMS):
        path = draw(kind)
        print(f"{path.stat().st_size:6} B  {path.relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
