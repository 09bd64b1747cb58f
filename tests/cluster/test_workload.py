"""The full-size job: times of batches, layers of gradients, and when buckets are full."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.cluster import COMPUTES, Workload
from simulator.cluster.computetime import Linear, Measured, OfBatch, OfDevice
from simulator.cluster.devices import DEVICES
from simulator.cluster.presets import PRESETS, architecture
from simulator.cluster.workload import LayerFile, Part, ready_times
from simulator.errors import DataError, InvalidInput
from tests import make
from tests.make import simulate

FIGURES = [(device, figure) for device, made in DEVICES.items() for figure in made.figures]


@pytest.mark.parametrize(
    ("device", "figure"), FIGURES, ids=[f"{d}-{f.network}-{f.precision}" for d, f in FIGURES]
)
def test_a_published_throughput_comes_out_again(device, figure):
    workload = Workload(preset=figure.network, precision=figure.precision)
    for batch in (figure.batch_size or 1, 64):
        assert workload.seconds(device, batch) == pytest.approx(batch / figure.samples_per_s)


def test_every_figure_is_of_a_known_network_in_a_mode_that_the_device_has():
    for device, figure in FIGURES:
        assert figure.network in PRESETS
        assert figure.precision in DEVICES[device].peaks
    asked = [(device, figure.network, figure.precision) for device, figure in FIGURES]
    assert len(set(asked)) == len(asked)


@pytest.mark.parametrize(
    ("preset", "device", "precision", "samples_per_s"),
    [
        ("resnet50", "v100", "auto", 384),  # the plainest mode with a figure is fp32
        ("resnet50", "t4", "auto", 216.6),  # amp alone
        ("resnet50", "a100", "auto", 1022),  # tf32 before amp
        # Others of a family: as the FLOP of torchvision 0.28.0 and torch.utils.flop_counter.
        ("resnet101", "v100", "fp32", 384 * 4.089 / 7.801),
        ("alexnet", "h200", "amp", 63_587 / 8 * 4.089 / 0.714),
        ("bert-base", "v100", "amp", 168.63 * 78_922_121_216 / 22_348_431_360),
        ("gpt2", "t4", "fp32", 39 * 22_348_431_360 / 291_648_307_200),
    ],
)
def test_a_network_without_a_figure_is_as_fast_as_its_family(
    preset, device, precision, samples_per_s
):
    seconds = Workload(preset=preset, precision=precision).seconds(device, 32)
    assert seconds == pytest.approx(32 / samples_per_s, rel=1e-3)


def test_a_share_of_the_peak_can_be_given():
    """V100: 15.7 and 125 TFLOP/s; three times the forward pass, two FLOP per multiply-add."""
    once = 3 * 2 * 4.089e9
    for precision, peak in (("auto", 15.7e12), ("amp", 125e12)):
        workload = Workload(compute=OfDevice(fixed=0.01, sustained=0.4), precision=precision)
        assert workload.seconds("v100", 64) == pytest.approx(
            0.01 + 64 * once / (0.4 * peak), rel=1e-3
        )
    lstm = Workload(preset="lstm-ptb", compute=OfDevice(sustained=0.5))
    assert lstm.seconds("k80", 20) == pytest.approx(
        20 * 3 * architecture("lstm-ptb").forward / (0.5 * 4.37e12)
    )


def test_fixed_seconds_come_on_top_of_a_figure():
    assert Workload(compute=OfDevice(fixed=0.5)).seconds("v100", 96) == pytest.approx(0.75)


@pytest.mark.parametrize("device", ["v100", "k80"])
def test_a_time_counts_for_the_workload_s_batch(device):
    workload = Workload(compute=OfBatch(0.2), batch_size=64)
    assert [workload.seconds(device, batch) for batch in (64, 32, 96)] == pytest.approx(
        [0.2, 0.1, 0.3]
    )
    workload = Workload(compute=Linear(fixed=0.1, per_sample=0.02), batch_size=7)
    assert [workload.seconds(device, batch) for batch in (1, 10)] == pytest.approx([0.12, 0.3])


@pytest.fixture
def folder(tmp_path_factory, monkeypatch):
    """A folder with a short name."""
    made = tmp_path_factory.mktemp("f")
    monkeypatch.chdir(made)
    return made


def test_measured_times_are_medians_and_linear_in_between(folder):
    rows = "batch_size,compute_s\n32,0.5\n8,0.1\n16,0.2\n8,0.12\n8,9\n16,0.3\n"
    (folder / "t.csv").write_text(rows)
    measured = Workload(compute=Measured("t.csv"))
    found = [measured.seconds("v100", batch) for batch in (8, 12, 16, 20, 32)]
    assert found == pytest.approx([0.12, 0.185, 0.25, 0.3125, 0.5])
    for outside in (7, 33):
        with pytest.raises(DataError, match=f"of 8 to 32 samples, not for {outside}"):
            measured.seconds("v100", outside)


def test_every_compute_time_is_tested():
    assert set(COMPUTES.values()) == {OfDevice, OfBatch, Linear, Measured}


# -- layers ------------------------------------------------------------------------------

LAYERS = (
    "name,nbytes,forward_s,backward_s\nfirst,400,0.01,0.02\nact,0,0.005,0.005\nfc,600,0.02,0.04\n"
)


def test_layers_of_one_s_own(folder):
    (folder / "l.csv").write_text(LAYERS)
    own = Workload(layers=LayerFile("l.csv", batch_size=10))
    assert own.seconds("v100", 10) == pytest.approx(0.1)
    assert own.seconds("k80", 25) == pytest.approx(0.25)
    assert (own.nbytes, own.tensor_count) == (1000, 2)
    assert own.parts() == [
        pytest.approx(part) for part in ((400, 0.1, 0.2), (0, 0.05, 0.05), (600, 0.2, 0.4))
    ]


def test_layers_with_a_time_and_a_gradient_given_by_hand(folder):
    (folder / "l.csv").write_text(LAYERS)
    own = Workload(
        layers=LayerFile("l.csv", 10), compute=OfBatch(3.0), batch_size=30, gradient=50.0, tensors=9
    )
    assert own.seconds("v100", 15) == pytest.approx(1.5)
    assert (own.nbytes, own.tensor_count) == (50, 9)
    assert [part.nbytes for part in own.parts()] == pytest.approx([20, 0, 30])
    fixed = Workload(layers=LayerFile("l.csv", 10), compute=OfDevice(fixed=0.5))
    assert fixed.seconds("v100", 20) == pytest.approx(0.7)


@pytest.mark.parametrize("changes", [{}, {"gradient": 12e6}, {"tensors": 7}, {"backward": 0.5}])
@pytest.mark.parametrize("preset", PRESETS)
def test_parts_add_up(preset, changes):
    """Bytes to the gradient, times to the compute time; two thirds of it are backward."""
    workload = Workload(preset=preset, **changes)
    nbytes, forward, backward = map(sum, zip(*workload.parts(), strict=True))
    assert nbytes == pytest.approx(workload.nbytes)
    assert workload.nbytes == changes.get("gradient", 4 * architecture(preset).parameters)
    assert backward == pytest.approx(changes.get("backward", 2 / 3))
    assert forward + backward == pytest.approx(1)


def test_what_a_preset_says_of_its_data_can_be_replaced():
    assert (Workload().sample_nbytes, Workload().dataset_samples) == (110e3, 1_281_167)
    own = Workload(sample=5.0, samples=10)
    assert (own.sample_nbytes, own.dataset_samples) == (5.0, 10)


# -- buckets -----------------------------------------------------------------------------


def ready_byte_by_byte(parts, sizes):
    """The backward pass lays down one byte after the other, the last layer's first."""
    clock, laid = sum(part.forward for part in parts), []
    for part in reversed(parts):
        clock += part.backward
        laid += [clock] * int(part.nbytes)
    return [laid[end - 1] for end in accumulate(sizes)]


shares = st.floats(0, 1)
layer = st.builds(Part, st.integers(0, 20).map(float), shares, shares)


@given(
    st.lists(layer, min_size=1, max_size=8).filter(lambda parts: sum(p[0] for p in parts)),
    st.data(),
)
def test_a_bucket_is_full_when_its_last_byte_is_there(parts, data):
    left, sizes = int(sum(part.nbytes for part in parts)), []
    while left:
        sizes.append(data.draw(st.integers(1, left)))
        left -= sizes[-1]
    assert ready_times(parts, sizes) == pytest.approx(ready_byte_by_byte(parts, sizes))


@pytest.mark.parametrize("preset", PRESETS)
def test_the_last_bucket_is_full_at_the_end(preset):
    workload, size = Workload(preset=preset), 25e6
    sizes = [size] * int(workload.nbytes // size) + [workload.nbytes % size]
    times = ready_times(workload.parts(), sizes)
    assert times[-1] == pytest.approx(1)
    assert times == sorted(times)
    assert 1 / 3 < times[0] < 1
    assert ready_times(workload.parts(), [workload.nbytes]) == pytest.approx([1])


def test_buckets_beyond_the_gradient_are_refused():
    with pytest.raises(InvalidInput, match="buckets of 11 B for a gradient of 10 B"):
        ready_times([Part(10.0, 0.5, 0.5)], [6.0, 5.0])


# -- what cannot be ----------------------------------------------------------------------


def refusal(settings, folder):
    text = f"learning: {{dataset: wine, batch_size: 8}}\nworkload: {{{settings}}}\n"
    return make.refusal(text, folder)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            "preset: resnet5",
            "x.yaml:2:12: workload.preset: no preset 'resnet5'; did you mean 'resnet50'?",
        ),
        (
            "device: v10",
            "x.yaml:2:12: workload.device: no device 'v10'; did you mean 'v100'?",
        ),
        ("device: tpu", "x.yaml:2:12: workload.device: no device 'tpu'; known: a100, h100, h200"),
        (
            "preset: lstm-ptb",
            "x.yaml:2:1: workload.device: there is no figure for lstm-ptb on v100; recurrent "
            "networks have none on any device; or give workload.compute a time, or its share of "
            "the peak as `sustained`",
        ),
        (
            "preset: bert-base, device: k80",
            "there is no figure for bert-base on k80; transformer networks have v100 (fp32, amp), "
            "t4 (fp32), rtx-2080-ti (fp32, amp), a100 (tf32, amp), h100 (tf32, amp); or give",
        ),
        (
            "preset: vgg16, device: h200, precision: fp32",
            "x.yaml:2:27: workload.device: there is no figure for vgg16 on h200 in fp32; convol",
        ),
        (
            "device: k80, precision: amp, compute: {sustained: 0.5}",
            "workload.device: NVIDIA K80, one of its two dies has no amp; it has fp32",
        ),
        (
            "compute: {sustained: 2.5}",
            "workload.compute.sustained: must be less than or equal to 2, not 2.5",
        ),
        ("precision: fp8", "workload.precision: no such choice 'fp8'; known: amp, auto, fp32"),
        ("batch_size: 0", "workload.batch_size: must be greater than or equal to 1, not 0"),
    ],
)
def test_impossible_workloads_are_refused(folder, settings, message):
    assert message in refusal(settings, folder)


@pytest.mark.parametrize(
    ("settings", "content", "message"),
    [
        (
            "layers: {path: f.csv}",
            "name,nbytes,forward_s\na,1,1\n",
            "f.csv:1: no column 'backward_",
        ),
        ("layers: {path: f.csv}", LAYERS + "x,1,2,?\n", "f.csv:5: backward_s is '?', no number"),
        ("layers: {path: f.csv}", LAYERS + "x,-1,2,1\n", "f.csv:5: nbytes is '-1'; expected 0 or"),
        (
            "compute: {kind: measured, path: f.csv}",
            "batch_size\n3\n",
            "f.csv:1: no column 'compute",
        ),
        (
            "compute: {kind: measured, path: f.csv}",
            "batch_size,compute_s\n8,x\n",
            "f.csv:2: compute_s is 'x', no number",
        ),
        (
            "batch_size: 64, compute: {kind: measured, path: f.csv}",
            "batch_size,compute_s\n8,1\n32,2\n",
            "f.csv was measured for batches of 8 to 32 samples, not for 64",
        ),
        ("compute: {kind: measured, path: g.csv}", "", "'g.csv' does not exist or cannot be read"),
    ],
)
def test_bad_files_are_refused_with_their_line(folder, settings, content, message):
    (folder / "f.csv").write_text(content)
    setting = "layers" if settings.startswith("layers") else "compute"
    place, path, rest = refusal(settings, folder).split(": ", 2)
    assert (place[:8], path) == ("x.yaml:2", f"workload.{setting}")
    assert rest.startswith(message)


def test_the_figure_that_times_follow_from_is_told():
    """In the manifest's details always, in a warning where it is another network's."""
    own = simulate(workload={"compute": {"kind": "device"}, "device": "k80"})
    assert own.details["figures"]["k80"]["samples_per_s"] == 51.9
    assert not own.warnings
    borrowed = simulate(workload={"compute": {"kind": "device"}, "preset": "alexnet"})
    assert borrowed.warnings == (
        "no figure for alexnet on v100: it is as fast there, in FLOP/s, as resnet50 "
        "(384 samples/s in fp32)",
    )
    assert simulate().details["figures"] == {}
