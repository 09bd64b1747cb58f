"""Data, partitions and sampling: what every worker reads, and what is refused."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from simulator.errors import DataError
from simulator.learning import PARTITIONS, distinct_samples, minibatches, prepare
from simulator.learning.datasets import BreastCancer, Classification, Digits, Npz, Regression, Wine
from simulator.learning.partition import Dirichlet, Iid, LabelShards


@pytest.mark.parametrize(
    ("dataset", "samples", "features", "classes"),
    [
        (Digits(), 1797, 64, 10),
        (BreastCancer(), 569, 30, 2),
        (Wine(), 178, 13, 3),
        (Classification(500, 20, 4), 500, 20, 4),
        (Regression(300, 9), 300, 9, None),
    ],
)
def test_data_sets(dataset, samples, features, classes):
    data = prepare(dataset, "data", 0, 0.25)
    assert (len(data.x) + len(data.x_test), data.features, data.classes) == (
        samples,
        features,
        classes,
    )
    assert len(data.x_test) == round(samples / 4)
    assert data.x.dtype == np.float32
    assert data.x.mean() == pytest.approx(0, abs=1e-4)
    assert data.x.std() == pytest.approx(1, abs=0.1)
    assert not data.x.flags.writeable
    if classes:
        assert set(np.unique(data.y)) == set(range(classes))


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    raw, expected = Digits().read(np.random.default_rng(0)), load_digits()
    np.testing.assert_array_equal(raw.x, expected.images)
    np.testing.assert_array_equal(raw.y, expected.target)


def test_the_data_seed_fixes_the_split_and_nothing_else_does():
    one, same, other = (prepare(Digits(), "d", seed, 0.2) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.x_test, same.x_test)
    assert not np.array_equal(one.x_test, other.x_test)


@pytest.fixture
def npz(tmp_path):
    def write(**arrays):
        path = tmp_path / "own.npz"
        np.savez(path, **arrays)
        return Npz(str(path))

    return write


def test_own_data(npz):
    x = np.arange(40.0).reshape(10, 4)
    labels = npz(x=x, y=np.arange(10) % 3)
    assert prepare(labels, "own", 0, 0.2).classes == 3
    assert prepare(npz(x=x, y=np.linspace(0, 1, 10)), "own", 0, 0.2).classes is None
    split = prepare(
        npz(x=x, y=np.arange(10) % 2, x_test=x[:3], y_test=np.array([0, 1, 0])), "own", 0, 0.2
    )
    assert (len(split.x), len(split.x_test)) == (10, 3)
    images = prepare(
        npz(x=np.random.default_rng(0).random((12, 5, 6)), y=np.arange(12) % 2), "own", 0, 0.2
    )
    assert images.image == (5, 6)


def hole(value):
    x = np.ones((10, 4))
    x[7, 2] = value
    return x


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": hole(np.nan), "y": np.arange(10) % 2}, "x is not finite in row 7, column 2"),
        ({"x": hole(np.inf), "y": np.arange(10) % 2}, "x is not finite in row 7, column 2"),
        ({"x": np.ones((10, 4)), "y": np.array([0.5] * 9 + [np.nan])}, "y is not finite in row 9"),
        ({"x": np.ones((10, 4)), "y": np.arange(9)}, r"x has shape \(10, 4\) and y \(9,\)"),
        ({"x": np.ones((0, 4)), "y": np.arange(0)}, "none of them 0"),
        ({"x": np.ones((10, 4))}, "no array 'y'; it holds x"),
        ({"x": np.ones((10, 4)), "y": np.int64(1)}, "array 'y' is a single number"),
        ({"x": np.ones((9, 4)), "y": np.arange(9) * 10**11}, "label 800000000000 among 9 samples"),
        (
            {"x": np.ones((9, 4)), "y": np.arange(9), "x_test": np.ones((9, 4))},
            "must both be given",
        ),
        ({"x": np.ones((9, 4)), "y": np.full(9, 1e300)}, "too large for float32"),
        ({"x": np.ones((10, 4)), "y": np.array(["a"] * 10)}, "expected numbers"),
        ({"x": np.ones((10, 4)), "y": np.arange(10) - 1}, "whole numbers"),
        ({"x": np.ones((10, 0)), "y": np.arange(10) % 2}, "none of them 0"),
        ({"x": hole(1e300), "y": np.arange(10) % 2}, "too large to standardise"),
        ({"x": np.ones((10, 2)), "y": np.zeros(10, int)}, "all samples have the same label"),
        (
            {
                "x": np.ones((10, 4)),
                "y": np.arange(10),
                "x_test": np.ones((2, 3)),
                "y_test": np.arange(2),
            },
            "x_test has shape",
        ),
    ],
)
def test_data_that_cannot_be_learned_from(npz, arrays, message):
    with pytest.raises(DataError, match=message):
        prepare(npz(**arrays), "own", 0, 0.2)


def test_no_pickle_is_ever_loaded(npz):
    """S11: an object array would run code when loaded."""
    with pytest.raises(DataError, match=r"no readable \.npz"):
        prepare(npz(x=np.array([{}], dtype=object), y=np.arange(1)), "own", 0, 0.2)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 no zip", b"\x93NUMPY"])
def test_files_that_are_no_npz(tmp_path, content):
    path = tmp_path / "own.npz"
    path.write_bytes(content)
    with pytest.raises(DataError, match="own.npz"):
        prepare(Npz(str(path)), "own", 0, 0.2)


DATA = prepare(Classification(200, 4, 5), "c", 0, 0.2)


@given(
    st.sampled_from([Iid(), LabelShards(1), LabelShards(3), Dirichlet(0.05), Dirichlet(100.0)]),
    st.integers(1, 40),
    st.integers(0, 5),
)
def test_partitions_deal_out_every_sample_once(partition, workers, seed):
    shards = partition.shards(DATA, workers, np.random.default_rng(seed))
    assert len(shards) == workers
    assert all(len(shard) for shard in shards)
    assert sorted(np.concatenate(shards).tolist()) == list(range(len(DATA.x)))


def labels_per_worker(partition):
    shards = partition.shards(DATA, 10, np.random.default_rng(0))
    return np.mean([len(set(DATA.y[shard].tolist())) for shard in shards])


def test_partitions_differ_in_how_mixed_they_are():
    assert labels_per_worker(Iid()) > 4.5
    assert labels_per_worker(LabelShards(1)) <= 2
    assert labels_per_worker(Dirichlet(0.05)) < labels_per_worker(Dirichlet(100.0))
    sizes = [len(s) for s in Iid().shards(DATA, 7, np.random.default_rng(0))]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("partition", [Iid(), LabelShards(2), Dirichlet()])
def test_more_shards_than_samples_are_refused(partition):
    with pytest.raises(DataError, match="but only 160 training samples"):
        partition.shards(DATA, 161, np.random.default_rng(0))


def test_every_partition_is_tried_above():
    assert set(PARTITIONS.values()) == {Iid, LabelShards, Dirichlet}


@given(st.integers(1, 50), st.integers(1, 70), st.integers(1, 30))
def test_a_shard_is_read_pass_by_pass(size, batch, steps):
    """Every pass holds each sample once, whatever the sizes; passes are shuffled anew."""
    sequence = minibatches(np.arange(100, 100 + size), batch, np.random.default_rng(1))
    read = np.concatenate([next(sequence)[0] for _ in range(steps)])
    assert len(read) == batch * steps
    for start in range(0, len(read) - size + 1, size):
        assert sorted(read[start : start + size].tolist()) == list(range(100, 100 + size))


@given(st.integers(1, 20), st.integers(2, 70), st.integers(0, 5))
def test_repeated_samples_are_named_once_with_their_share(size, batch, spare):
    """The same draws; a shard smaller than others is filled up with weight 0."""
    rows = min(size + spare, batch - 1)
    assume(size <= rows)
    plain = minibatches(np.arange(100, 100 + size), batch, np.random.default_rng(1))
    counted = minibatches(np.arange(100, 100 + size), batch, np.random.default_rng(1), rows)
    for _ in range(40):
        drawn, _ = next(plain)
        samples, weights = next(counted)
        assert samples.shape == weights.shape == (rows,)
        shares = dict.fromkeys(samples.tolist(), 0.0)
        for sample, weight in zip(samples.tolist(), weights.tolist(), strict=True):
            shares[sample] += weight
        for sample, share in shares.items():
            assert share == pytest.approx((drawn == sample).mean())


def test_a_batch_may_be_larger_than_what_is_drawn_ahead():
    samples, weights = next(minibatches(np.arange(7), 7000, np.random.default_rng(1), 7))
    assert samples.tolist() == list(range(7))
    assert weights.tolist() == [1 / 7] * 7
    plain, _ = next(minibatches(np.arange(7), 7000, np.random.default_rng(1)))
    assert np.bincount(plain).tolist() == [1000] * 7


def test_as_many_samples_are_distinct_as_the_largest_shard_has():
    assert distinct_samples([np.arange(3), np.arange(5)], 8) == 5
    assert distinct_samples([np.arange(3), np.arange(50)], 8) == 8


def test_passes_are_shuffled_anew():
    sequence = minibatches(np.arange(30), 30, np.random.default_rng(1))
    passes = {tuple(next(sequence)[0].tolist()) for _ in range(20)}
    assert len(passes) == 20


def test_training_and_test_set_are_disjoint_and_complete():
    from simulator.engine import Streams

    data = prepare(Wine(), "wine", 3, 0.25, "float64")
    raw = Wine().read(np.random.default_rng(0))
    order = Streams(3).get("split").permutation(178)
    held = round(0.25 * 178)
    mean, spread = raw.x[order[held:]].mean(0), raw.x[order[held:]].std(0)
    np.testing.assert_allclose(data.x_test, (raw.x[order[:held]] - mean) / spread)
    np.testing.assert_allclose(data.x, (raw.x[order[held:]] - mean) / spread)
    np.testing.assert_array_equal(data.y, raw.y[order[held:]])


def test_images_are_scaled_as_a_whole():
    data = prepare(Digits(), "digits", 0, 0.2, "float64")
    assert data.x.mean() == pytest.approx(0)
    assert data.x.std() == pytest.approx(1)
    assert data.x.std(0).min() < 0.2 < 1.05 < data.x.std(0).max()


def test_generated_data_are_what_their_settings_say():
    raw = Classification(20_000, 5, 3, separation=7.0).read(np.random.default_rng(0))
    for label in range(3):
        assert np.linalg.norm(raw.x[raw.y == label].mean(0)) == pytest.approx(7.0, rel=0.02)
    exact = Regression(50, 4, noise=0.0).read(np.random.default_rng(0))
    assert np.linalg.lstsq(exact.x, exact.y)[1][0] == pytest.approx(0, abs=1e-18)
    noisy = Regression(20_000, 4, noise=0.5).read(np.random.default_rng(0))
    assert np.linalg.lstsq(noisy.x, noisy.y)[1][0] / 20_000 == pytest.approx(0.25, rel=0.05)


def test_partitions_are_random():
    for partition in (Iid(), Dirichlet(1.0), LabelShards(2)):
        one, two = (partition.shards(DATA, 4, np.random.default_rng(seed)) for seed in (0, 1))
        assert any(sorted(a.tolist()) != sorted(b.tolist()) for a, b in zip(one, two, strict=True))
    members = Dirichlet(1000.0).shards(DATA, 2, np.random.default_rng(0))[0]
    of_one_label = members[DATA.y[members] == 0]
    assert (np.diff(of_one_label) < 0).any()
