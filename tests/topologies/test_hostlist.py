"""Host lists: what Slurm writes in short is written out again."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import TopologyError
from topologies.readers import expand_hostlist

LETTERS = st.text("abcxyz-_.", min_size=1, max_size=4)
RANGES = st.tuples(st.integers(0, 120), st.integers(0, 12), st.integers(1, 4))


def numbers(start, more, width):
    return [f"{number:0{width}d}" for number in range(start, start + more + 1)]


def written(start, more, width):
    first, *rest = numbers(start, more, width)
    return f"{first}-{rest[-1]}" if rest else first


@st.composite
def words(draw):
    """A word of a host list and the names that it stands for."""
    text, choices = draw(LETTERS), []
    choices.append([text])
    for _ in range(draw(st.integers(0, 2))):
        ranges = draw(st.lists(RANGES, min_size=1, max_size=3))
        tail = draw(st.just("") | LETTERS)
        text += f"[{','.join(written(*one) for one in ranges)}]{tail}"
        choices += [[number for one in ranges for number in numbers(*one)], [tail]]
    return text, ["".join(parts) for parts in product(*choices)]


@given(st.lists(words(), min_size=1, max_size=4))
def test_what_is_written_in_short_is_written_out(parts):
    text = ",".join(word for word, _ in parts)
    assert expand_hostlist(text) == [name for _, names in parts for name in names]


def folded(names):
    """The opposite: runs of numbers with equal prefix and width in brackets."""
    runs = []
    for prefix, digits in names:
        last = runs[-1] if runs else None
        if (
            last
            and last[0] == prefix
            and len(last[2]) == len(digits) == len(last[1])
            and (int(last[2]) + 1 == int(digits))
        ):
            last[2] = digits
        else:
            runs.append([prefix, digits, digits])
    return ",".join(f"{p}[{a}-{b}]" if a != b else f"{p}[{a}]" for p, a, b in runs)


@given(st.lists(st.tuples(LETTERS, st.from_regex(r"[0-9]{1,3}", fullmatch=True)), min_size=1))
def test_names_survive_being_written_in_short(names):
    assert expand_hostlist(folded(names)) == [prefix + digits for prefix, digits in names]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("tux[0-3,12]", ["tux0", "tux1", "tux2", "tux3", "tux12"]),
        ("n[001-003]", ["n001", "n002", "n003"]),
        ("n[8-11]", ["n8", "n9", "n10", "n11"]),
        ("n[08-11]", ["n08", "n09", "n10", "n11"]),
        ("n[98-101]", ["n98", "n99", "n100", "n101"]),
        ("r[1-2]n[0-1]x", ["r1n0x", "r1n1x", "r2n0x", "r2n1x"]),
        ("a,b[1],c", ["a", "b1", "c"]),
        ("a[1-2,5],b", ["a1", "a2", "a5", "b"]),
        ("[1-2]", ["1", "2"]),
    ],
)
def test_examples(text, names):
    assert expand_hostlist(text) == names


@pytest.mark.parametrize(
    "text",
    ["", "a,", ",a", "a[", "a]", "a[]", "a[1-]", "a[-1]", "a[3-1]", "a[x]", "a[1]]", "a[[1]]",
     "a[1,]", "a[0-100000]", "a[0-999][0-100]", "a[1-99999999999999999999]", "a[١]"],
)  # fmt: skip
def test_what_cannot_be_written_out_is_refused(text):
    with pytest.raises(TopologyError):
        expand_hostlist(text)


def test_a_hundred_thousand_names_are_the_most():
    assert len(expand_hostlist("a[0-99999]")) == 100_000
    assert len(expand_hostlist("a[0-99998],b")) == 100_000
    with pytest.raises(TopologyError, match="more than 100,000 names"):
        expand_hostlist("a[0-99999],b")
