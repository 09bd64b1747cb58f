"""Stragglers: who is late, when and by how much; and what cannot be."""

import numpy as np
import pytest
from scipy import stats

from simulator.cluster import STRAGGLERS, ComputeModel, Layout
from simulator.cluster.noise import NoNoise
from simulator.cluster.randomtimes import Constant, Exponential
from simulator.cluster.stragglers import (
    Markov,
    Periodic,
    RandomWorkers,
    Replayed,
    Schedule,
    SlowLinks,
    SlowWorkers,
)
from simulator.engine import Streams
from simulator.errors import ScenarioError
from tests import make
from tests.make import simulate

LAYOUT = Layout((0, 0, 1, 1, 2, 2, 3, 3), (0, 0, 0, 0, 1, 1, 1, 1), ("h0", "h1", "h2", "h3"))
RANKS = range(8)


def model(*stragglers, seed=0, seconds=1.0):
    return ComputeModel([seconds] * 8, NoNoise(), stragglers, LAYOUT, Streams(seed))


def works(made, step=0):
    """Work of everybody in *step*."""
    return [made.work(rank, step) for rank in RANKS]


def slow(straggler, seed=0):
    """Ranks that *straggler* makes slow."""
    return [rank for rank, work in enumerate(works(model(straggler, seed=seed))) if work > 1]


def assert_equally_often(counts):
    assert stats.chisquare(counts).pvalue > 0.001


# -- from beginning to end ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "ranks"),
    [
        ({"workers": (1, 6)}, [1, 6]),
        ({"workers": ()}, []),
        ({"hosts": (1, 3)}, [2, 3, 6, 7]),
        ({"racks": (1,)}, [4, 5, 6, 7]),
        ({"count": 0}, []),
        ({"count": 8}, [*RANKS]),
        ({"count": 2, "of": "racks"}, [*RANKS]),
        ({"fraction": 0.0}, []),
        ({"fraction": 1.0, "of": "hosts"}, [*RANKS]),
    ],
)
def test_slow_workers_are_those_that_are_named(choice, ranks):
    made = model(SlowWorkers(factor=3.0, **choice))
    for step in range(3):
        assert works(made, step) == [3.0 if rank in ranks else 1.0 for rank in RANKS]


@pytest.mark.parametrize(
    ("choice", "count", "size"),
    [
        ({"count": 3}, 3, 1),
        ({"fraction": 0.25}, 2, 1),
        ({"fraction": 0.01}, 1, 1),
        ({"count": 2, "of": "hosts"}, 4, 2),
        ({"fraction": 0.5, "of": "racks"}, 4, 4),
    ],
)
def test_slow_workers_at_random_are_equally_often_anybody(choice, count, size):
    """So many, in whole hosts or racks."""
    often = np.zeros(8)
    for seed in range(600):
        found = slow(SlowWorkers(**choice), seed)
        assert len(found) == count
        assert all(rank // size * size in found for rank in found)
        often[found] += 1
    assert_equally_often(often[::size])


def test_two_entries_choose_independently():
    pairs = np.zeros((8, 8))
    for seed in range(1500):
        twice, thrice = SlowWorkers(count=1, factor=2.0), SlowWorkers(count=1, factor=3.0)
        found = works(model(twice, thrice, seed=seed))
        first = [rank for rank in RANKS if found[rank] in (2.0, 6.0)]
        second = [rank for rank in RANKS if found[rank] in (3.0, 6.0)]
        pairs[first, second] += 1
    assert pairs.sum() == 1500
    assert_equally_often(pairs.ravel())


@pytest.mark.parametrize("factor", [0.1, 0.5])
@pytest.mark.parametrize("choice", [{"hosts": [2]}, {"count": 1}])
def test_a_slow_link_makes_a_ring_slower_by_its_bandwidth(factor, choice):
    def communication(*stragglers):
        result = simulate(
            topology={
                "hosts": 4,
                "gpus_per_host": 0,
                "host_link": {"bandwidth": "10 Gbit/s", "latency": "0 s"},
            },
            network={"fidelity": "flow", "all_reduce": "ring"},
            workload={"noise": "none"},
            stragglers=list(stragglers),
            stop={"steps": 3},
        )
        return result.summary["breakdown"]["communication_s"]

    entry = {"kind": "slow-links", "factor": factor, **choice}
    usual = communication()
    assert usual == pytest.approx(3 * 2 * 3 / 4 * 10e6 * 8 / 10e9)
    assert communication(entry) == pytest.approx(usual / factor)
    assert communication({**entry, "hosts": [], "count": None}) == pytest.approx(usual)


# -- step by step ------------------------------------------------------------------------


def test_random_workers_are_exactly_so_many_and_equally_often_anybody():
    made, often = model(RandomWorkers(count=3, delay=Constant(0.25), factor=2.0)), np.zeros(8)
    for step in range(2000):
        late = [rank for rank, work in enumerate(works(made, step)) if work > 1]
        assert works(made, step) == [2.25 if rank in late else 1.0 for rank in RANKS]
        assert len(late) == 3
        often[late] += 1
    assert_equally_often(often)


def test_random_workers_do_not_depend_on_who_asks_first():
    random = RandomWorkers(count=3, delay=Exponential(1.0))
    made, other = model(random), model(random)
    backwards = {
        (rank, step): made.work(rank, step) for rank in RANKS for step in reversed(range(20))
    }
    assert all(other.work(rank, step) == backwards[rank, step] for rank, step in backwards)


def test_delays_are_drawn_anew_from_their_law():
    made = model(RandomWorkers(count=2, delay=Exponential(0.5)))
    delays = [work - 1 for step in range(2000) for work in works(made, step) if work > 1]
    assert len(set(delays)) == len(delays) == 4000
    assert stats.kstest(delays, stats.expon(0, 0.5).cdf).pvalue > 0.001


def test_random_hosts_are_late_as_a_whole():
    made = model(RandomWorkers(count=1, delay=Exponential(0.5), of="hosts"))
    for step in range(200):
        found = works(made, step)
        assert found[::2] == found[1::2]
        assert sum(work > 1 for work in found) == 2


@pytest.fixture
def folder(tmp_path_factory, monkeypatch):
    """A folder with a short name."""
    made = tmp_path_factory.mktemp("f")
    monkeypatch.chdir(made)
    return made


def test_a_record_is_replayed_and_begins_again(folder):
    rows = "worker,step,factor,x\n2,1,0.5,9\n2,0,1.5,9\n# host 2\n5,0,4,7\n2,2,3,9\n"
    (folder / "r.csv").write_text(rows)
    made = model(Replayed(path="r.csv"))
    found = [works(made, step) for step in range(7)]
    assert [row[2] for row in found] == [1.5, 0.5, 3.0, 1.5, 0.5, 3.0, 1.5]
    assert [row[5] for row in found] == [4.0] * 7
    assert {row[rank] for row in found for rank in RANKS if rank not in (2, 5)} == {1.0}
    assert model(Replayed(path="r.csv", column="x")).work(5, 0) == 7.0


def test_factors_multiply_and_delays_are_added():
    made = model(
        RandomWorkers(count=8, delay=Constant(0.25), factor=3.0),
        SlowWorkers(workers=(0, 1), factor=2.0),
        RandomWorkers(count=8, delay=Constant(0.5)),
        SlowWorkers(workers=(1,), factor=5.0),
        seconds=0.1,
    )
    assert works(made)[:3] == pytest.approx([0.1 * 6 + 0.75, 0.1 * 30 + 0.75, 0.1 * 3 + 0.75])


# -- what cannot be ----------------------------------------------------------------------


def refusal(entry, folder):
    text = "topology: {kind: two-level, hosts: 4, hosts_per_leaf: 2, gpus_per_host: 1}\n"
    text += f"learning: {{dataset: wine, batch_size: 8}}\nstragglers:\n- {{{entry}}}\n"
    return make.refusal(text, folder)


NUMBER = "x.yaml:4:3: stragglers.0: "


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("kind: markv", "x.yaml:4:4: stragglers.0: no kind 'markv'; did you mean 'markov'?"),
        (
            "kind: slow-workers, fraction: 1.5",
            "x.yaml:4:24: stragglers.0.fraction: must be less than or equal to 1, not 1.5",
        ),
        (
            "kind: slow-workers, workers: [0, -1]",
            "x.yaml:4:37: stragglers.0.workers.1: must be greater than or equal to 0, not -1",
        ),
        (
            "kind: slow-workers, workers: a",
            "x.yaml:4:24: stragglers.0.workers: 'a' names nothing; expected such as '0-3, 8'",
        ),
        (
            "kind: slow-workers, workers: 3-1",
            "x.yaml:4:24: stragglers.0.workers: '3-1': 3-1 is no range",
        ),
        ("kind: slow-workers, workers: 6-9", NUMBER + "there is no worker 6; the 4 workers"),
        ("kind: markov, workers: 0-4", NUMBER + "there is no worker 4; the 4 workers are 0..3"),
        ("kind: slow-links, hosts: 4", NUMBER + "there is no host 4; the 4 hosts are 0..3"),
        ("kind: periodic, racks: '0, 2'", NUMBER + "there is no rack 2; the 2 racks are 0..1"),
        ("kind: schedule, count: 5", NUMBER + "count is 5 but there are only 4 workers"),
        ("kind: random-workers, count: 5", NUMBER + "count is 5 but there are only 4 workers"),
        ("kind: random-workers, count: 3, of: racks", NUMBER + "count is 3 but there are only 2"),
        ("kind: slow-workers", NUMBER + "give exactly one of workers, hosts, racks, count, "),
        ("kind: markov, hosts: 1, count: 1", "given: hosts, count"),
        ("kind: slow-links, workers: 1", NUMBER + "links belong to hosts; choose by hosts"),
        (
            "kind: slow-links, count: 1, of: workers",
            "x.yaml:4:32: stragglers.0.of: no such choice 'workers'",
        ),
        (
            "kind: periodic, period: 1 s, duration: 1 s",
            NUMBER + "duration is 1 s; it must be",
        ),
        ("kind: schedule, at: 2 s, until: 2 s", NUMBER + "until is 2 s, not later than at, 2 s"),
        ("kind: schedule, factor: null", NUMBER + "stands still for ever; give until, or a factor"),
    ],
)
def test_impossible_stragglers_are_refused(folder, entry, message):
    assert message in refusal(entry, folder)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("0,0,1\n0,2,1\n", "r.csv: worker 0 has no step 1, but step 2; a record needs every step"),
        ("0,0,1\n1,0,1\n0,0,1\n", "r.csv:4: worker 0 has step 0 twice"),
        ("0,0,1\n4,0,1\n", "r.csv:3: there is no worker 4; the 4 workers are 0..3"),
        ("0,0,fast\n", "r.csv:2: factor is 'fast', no number"),
        ("0,0,-1\n", "r.csv:2: factor is '-1'; expected 0 or more"),
        ("0,0.5,1\n", "r.csv:2: step is '0.5', no whole number"),
        ("x,0,1\n", "r.csv:2: worker is 'x', no whole number"),
        ("", "r.csv has no rows"),
    ],
)
def test_a_bad_record_is_refused_with_its_line(folder, rows, message):
    (folder / "r.csv").write_text(f"worker,step,factor\n{rows}")
    assert refusal("kind: replayed, path: r.csv", folder).startswith(NUMBER + message)


def test_a_record_needs_its_file_and_columns(folder):
    found = refusal("kind: replayed, path: r.csv", folder)
    assert found == NUMBER + "'r.csv' does not exist or cannot be read"
    (folder / "r.csv").write_text("worker,step,facto\n0,0,1\n")
    found = refusal("kind: replayed, path: r.csv", folder)
    assert found == NUMBER + "r.csv:1: no column 'factor'; did you mean 'facto'?"


def test_slow_links_of_nothing_that_there_is_are_refused(folder):
    entry = "kind: slow-links, count: 1, of: planets"
    assert "stragglers.0.of: no such choice 'planets'" in refusal(entry, folder)


def test_a_long_name_of_a_file_is_told_in_full(folder):
    deep = folder / ("d" * 80)
    deep.mkdir()
    (deep / "r.csv").write_text("worker,step,factor\n0,0,fast\n")
    assert "r.csv:2: factor is 'fast'" in refusal("kind: replayed, path: r.csv", deep)


def test_slow_links_need_links_that_are_shared(folder):
    with pytest.raises(ScenarioError, match="needs links that are shared; not fidelity alpha-beta"):
        simulate(
            network={"fidelity": "alpha-beta"}, stragglers=[{"kind": "slow-links", "count": 1}]
        )


def test_every_straggler_is_tested():
    tested = {SlowWorkers, SlowLinks, RandomWorkers, Replayed, Markov, Periodic, Schedule}
    assert set(STRAGGLERS.values()) == tested
