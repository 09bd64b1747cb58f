"""``collectives``, ``flows`` and ``topology``: numbers, formats, and errors that help."""

import json

import pytest

from simulator.cli.networks import KINDS
from simulator.network import COLLECTIVES

NIC = 1.25e9  # B/s of the quickstart's NIC


def test_the_kinds_offered_are_those_there_are():
    assert list(COLLECTIVES) == list(KINDS)


def test_collectives_prints_si_numbers(paceline):
    """Ring over 8 GPUs of two hosts: 14 rounds of 40 us and an eighth through a NIC."""
    code, out, err = paceline(
        "collectives", "quickstart", "--algorithm", "ring", "--sizes", "1MB,16MB", "--json"
    )
    rows = json.loads(out)
    assert (code, err) == (0, "")
    assert [row["nbytes"] for row in rows] == [1e6, 16e6]
    for row in rows:
        assert row["time_s"] == pytest.approx(14 * (30e-6 + row["nbytes"] / 8 / NIC), rel=1e-9)
        assert row["algbw_bytes_per_s"] == pytest.approx(row["nbytes"] / row["time_s"])
        assert row["busbw_bytes_per_s"] == pytest.approx(row["algbw_bytes_per_s"] * 14 / 8)


def test_collectives_for_people_say_why(paceline):
    code, out, err = paceline("collectives", "quickstart", "--sizes", "1MB", "--ranks", 4)
    assert code == 0
    assert out.startswith("all-reduce, 4 ranks, fidelity flow\n")
    assert "size (B)" in out
    assert "busbw (GB/s)" in out
    assert "at 1e+06 B: the cheapest by the alpha-beta model: ring" in err


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fidelity", ["flow", "message", "alpha-beta"])
def test_every_kind_in_every_fidelity(paceline, kind, fidelity):
    code, out, _ = paceline(
        *("collectives", "quickstart", "--kind", kind, "--algorithm", "all"),
        *("--sizes", "8MB", "--fidelity", fidelity, "--json"),
    )
    rows = json.loads(out)
    assert code == 0
    assert [row["algorithm"] for row in rows] == list(COLLECTIVES[kind])
    assert all(row["time_s"] > 0 for row in rows)


def test_sizes_are_those_of_nccl_tests(paceline):
    """All-gather of 8 MB in all is 1 MB from each of 8 ranks: seven rounds of 1 MB."""
    _, out, _ = paceline(
        *("collectives", "quickstart", "--kind", "all-gather", "--algorithm", "ring"),
        *("--sizes", "8MB", "--json"),
    )
    assert json.loads(out)[0]["time_s"] == pytest.approx(7 * (30e-6 + 1e6 / NIC))


LOG = """\
# Collective test starting: all_reduce_perf
   1000000 250000  float sum -1 2000.0 0.50 0.88 0 2000.0 0.50 0.88 0
   2000000 500000  float sum -1 4000.0 0.50 0.88 0 4000.0 0.50 0.88 0
"""


def test_beside_a_measured_log(paceline, tmp_path):
    (tmp_path / "nccl.log").write_text(LOG)
    arguments = ("collectives", "quickstart", "--algorithm", "ring", "--measured", "nccl.log")
    rows = json.loads(paceline(*arguments, "--json")[1])
    assert [row["nbytes"] for row in rows] == [1e6, 2e6]
    assert rows[0]["measured_s"] == 2e-3
    assert rows[0]["error"] == pytest.approx(rows[0]["time_s"] / 2e-3 - 1)
    code, out, _ = paceline(*arguments)
    assert "measured (us)" in out
    code, _, err = paceline(*arguments, "--kind", "broadcast", "--algorithm", "auto")
    assert code == 2
    assert "--algorithm" in err or "no measurement of broadcast" in err


FLOWS = "source,target,nbytes,start_s\nhost0,host1,100 MB,0\nhost0,host1,1e8,10 ms\n"


def test_flows_share_and_name_the_bottleneck(paceline, tmp_path):
    """Two of 100 MB through one NIC: the second begins when the first has 87.5 MB left."""
    (tmp_path / "flows.csv").write_text(FLOWS)
    code, out, err = paceline("flows", "quickstart", "--flows", "flows.csv", "--json")
    first, second = json.loads(out)
    assert (code, err) == (0, "")
    assert first["finish_s"] == pytest.approx(20e-6 + 0.01 + 2 * 87.5e6 / NIC)
    assert second["finish_s"] == pytest.approx(20e-6 + 2e8 / NIC)
    assert second["time_s"] == pytest.approx(second["finish_s"] - 0.01)
    assert (first["bottleneck_source"], first["bottleneck_target"]) == ("host0", "switch0")
    code, out, _ = paceline("flows", "quickstart", "--flows", "flows.csv")
    assert "host0 -> switch0" in out


def test_a_transfer_that_never_ends_has_no_finish(paceline, tmp_path):
    (tmp_path / "flows.csv").write_text(FLOWS)
    failed = "network.links=[{source: host0, target: switch0, at: 20 ms}]"
    code, out, _ = paceline("flows", "quickstart", "--flows", "flows.csv", "-S", failed, "--json")
    assert code == 0
    assert [row["finish_s"] for row in json.loads(out)] == [None, None]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        ("source,target\nhost0,host1\n", ["flows.csv:1: has no column nbytes"]),
        ("source,target,nbytes\n", ["flows.csv: has no transfers"]),
        (
            "source,target,nbytes,start_s\n"
            "hst0,host1,1 MB,0\nhost0,host1,1 s,0\nhost0,host1,1,-1\n",
            [
                "flows.csv:2: source: no node 'hst0'; did you mean 'host0'?",
                "flows.csv:3: nbytes: '1 s' is a time",
                "flows.csv:4: start_s: '-1' is negative",
            ],
        ),
        ("source,target,nbytes\nhost0,host1\n", ["flows.csv:2: nbytes: ''"]),
    ],
)
def test_wrong_flows_are_located(paceline, tmp_path, text, messages):
    (tmp_path / "flows.csv").write_text(text)
    code, out, err = paceline("flows", "quickstart", "--flows", "flows.csv")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == len(messages)
    for line, message in zip(err.splitlines(), messages, strict=True):
        assert line.startswith(message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collectives", "quickstart", "--ranks", "9"], "--ranks 9: the topology has 8 workers"),
        (["collectives", "quickstart", "--algorithm", "rnig"], "did you mean 'ring'?"),
        (["collectives", "quickstart", "--sizes", "1 s"], "'1 s' is a time"),
        (["collectives", "quickstart", "--measured", "nowhere"], "cannot be read"),
        (["collectives", "nowhere.json"], "no such file"),
        (["flows", "quickstart", "--flows", "nowhere.csv"], "cannot be read"),
        (["flows", "quickstart"], "Missing option '--flows'"),
        (["topology", "show", "quickstrt"], "did you mean 'quickstart'?"),
        (["topology", "convert", "quickstart", "x.tar"], "x.tar"),
        (["topology", "show", "quickstart", "-o", "x.bmp"], "no format '.bmp'"),
    ],
)
def test_usage_errors(paceline, arguments, message):
    code, out, err = paceline(*arguments)
    assert (code, out) == (2, "")
    assert message in err


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "network.links=[{source: host0, target: host1, at: 0}]",
            "network.links.0.target: there is no link from host0 to 'host1'",
        ),
        (
            "network.links=[{source: host0, target: switch0, at: 2, until: 1}]",
            "network.links.0.until: is 1 s, not later than `at`, 2 s",
        ),
        (
            "network.background=[{source: host0, target: hst1}]",
            "network.background.0.target: the topology has no node 'hst1'; it has host1",
        ),
        ("network.background=[{source: host0, target: host0}]", "is the source"),
        ("network.fidelity=table", "network.costs: is missing"),
        ("network.costs=[{path: x.log}]", "has no effect in fidelity flow"),
        ("network.jitter=5 GB", "network.jitter: '5 GB' is a size"),
    ],
)
def test_settings_of_the_network_that_cannot_be(paceline, setting, message):
    code, _, err = paceline("validate", "quickstart", "-S", setting)
    assert code == 2
    assert message in err


def test_conditions_need_shared_links(paceline):
    code, _, err = paceline(
        *(
            "validate",
            "quickstart",
            "-S",
            "network.jitter=1 us",
            "-S",
            "network.fidelity=alpha-beta",
        )
    )
    assert code == 2
    assert "network.jitter: needs links that are shared" in err


def test_questions_about_a_network_do_not_ask_what_is_learned_on_it(paceline):
    """2,000 workers, more than the default data set has samples."""
    large = ("-S", "topology.gpus_per_host=0", "--nodes", 2000)
    assert paceline("topology", "show", "quickstart", *large)[0] == 0
    code, out, _ = paceline("collectives", "quickstart", *large, "--sizes", "1MB", "--json")
    assert code == 0
    assert json.loads(out)[0]["ranks"] == 2000
    code, _, err = paceline("validate", "quickstart", "-S", "topology.hosts=2000")
    assert code == 2
    assert "learning.partition" in err


@pytest.mark.parametrize("fidelity", ["flow", "message"])
def test_a_collective_that_never_ends(paceline, fidelity):
    failed = "network.links=[{source: host0, target: switch0, at: 1 ms}]"
    code, out, err = paceline(
        *("collectives", "quickstart", "--sizes", "100MB", "--fidelity", fidelity),
        *("-S", failed, "--json"),
    )
    assert code == 0
    assert json.loads(out)[0]["time_s"] is None
    assert "never end" in err
    code, out, _ = paceline("collectives", "quickstart", "--sizes", "100MB", "-S", failed)
    assert (code, out.splitlines()[0]) == (0, "all-reduce, 8 ranks, fidelity flow")


def test_collectives_send_the_payload_as_the_scenario_says(paceline):
    arguments = ("collectives", "quickstart", "--algorithm", "ring", "--sizes", "100MB", "--json")
    fused = json.loads(paceline(*arguments)[1])[0]["time_s"]
    tensors = json.loads(
        paceline(*arguments, "-S", "network.payload=per-tensor", "-S", "workload.tensors=11")[1]
    )[0]["time_s"]
    assert tensors - fused == pytest.approx(10 * 14 * 30e-6)


def test_a_log_of_something_else_is_told(paceline, tmp_path):
    unknown = "\n".join(LOG.splitlines()[1:]) + "\n"
    (tmp_path / "nccl.log").write_text(unknown)
    compared = ("--measured", "nccl.log", "--sizes", "1500kB", "--json")
    arguments = ("collectives", "quickstart", *compared)
    code, out, err = paceline(*arguments)
    assert code == 0
    assert "does not say which collective it measured; taken for all-reduce" in err
    # between 2 ms at 1 MB and 4 ms at 2 MB, logarithms interpolated
    assert json.loads(out)[0]["measured_s"] == pytest.approx(3e-3)
    ranks = "".join(f"#  Rank {r} Group 0 Pid 1 on node{r} device 0 [0x0] A100\n" for r in range(3))
    (tmp_path / "nccl.log").write_text(ranks + LOG)
    err = paceline(*arguments)[2]
    assert "measured with 3 ranks on 3 hosts, and is compared with 8 on 2" in err
    code, _, err = paceline("collectives", "quickstart", "--kind", "reduce", *compared)
    assert code == 2
    assert "has no measurement of reduce, but of all-reduce" in err


def test_flows_from_a_spreadsheet(paceline, tmp_path):
    """A byte order mark, and semicolons."""
    text = "\ufeffsource;target;nbytes\nhost0;host1;1 MB\nhost1;host0;0\n"
    (tmp_path / "flows.csv").write_text(text, encoding="utf-8")
    code, out, _ = paceline("flows", "quickstart", "--flows", "flows.csv", "--json")
    first, nothing = json.loads(out)
    assert code == 0
    assert first["finish_s"] == pytest.approx(20e-6 + 1e6 / NIC)
    assert nothing["finish_s"] == pytest.approx(20e-6)
    assert nothing["bottleneck_source"] is None
