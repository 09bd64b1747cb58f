"""Quantities: the spellings that libraries get wrong, and what is refused."""

import math

import pint
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.errors import QuantityError
from simulator.units import SPELLINGS, parse, show

# The inputs on which units libraries were seen to fail, and more of their kind.
READ = [
    ("25 Gbit/s", "bit/s", 25e9),
    ("25 Gb/s", "bit/s", 25e9),
    ("25Gbps", "bit/s", 25e9),
    ("3.2 Tb/s", "bit/s", 3.2e12),
    ("12.5 GBps", "bit/s", 1e11),
    ("125MBps", "bit/s", 1e9),
    ("12.5 GB/s", "bit/s", 1e11),
    ("5Mbps", "bit/s", 5e6),
    ("1 KiB/s", "bit/s", 8192.0),
    ("10 us", "s", 1e-5),
    ("50us", "s", 5e-5),
    ("10 \u00b5s", "s", 1e-5),
    ("10 \u03bcs", "s", 1e-5),
    ("1.5e3 ms", "s", 1.5),
    ("10 min", "s", 600.0),
    ("2 h", "s", 7200.0),
    ("5 ns", "s", 5e-9),
    ("100 MiB", "B", 104857600.0),
    ("64 KB", "B", 64000.0),
    ("64 kB", "B", 64000.0),
    ("25 Gbit", "B", 3.125e9),
    ("1e2 B", "B", 100.0),
    ("7", "B", 7.0),
    (" 7 B ", "B", 7.0),
    ("312 TFLOP/s", "FLOP/s", 3.12e14),
    ("1Gf", "FLOP/s", 1e9),
    ("4 GFLOP", "FLOP", 4e9),
    ("1600 samples", "samples", 1600.0),
    (".5 s", "s", 0.5),
    (3, "s", 3.0),
    (0.25, "s", 0.25),
]
REFUSED = [
    ("1 m", "s", "no unit 'm'"),
    ("2 ** 100000 us", "s", "no unit"),
    ("nan us", "s", "not a number"),
    ("1e400 s", "s", "not finite"),
    ("-5 us", "s", "negative"),
    ("inf s", "s", "not a number"),
    ("25 Gbit", "bit/s", "is a size; expected a rate"),
    ("10 s", "B", "is a time; expected a size"),
    ("1 s", "bit/s", "is a time"),
    ("", "s", "not a number"),
    ("us", "s", "not a number"),
    ("5 us us", "s", "no unit"),
    ("1_000 s", "s", "no unit"),
    ("0x10 s", "s", "no unit"),
    ("25 gbit/s", "bit/s", "no unit"),
    ("1e99999999 s", "s", "no unit"),
    (math.nan, "s", "not finite"),
    (-1.0, "s", "negative"),
    ("10 S", "s", "no unit"),
]


@pytest.mark.parametrize(("text", "unit", "value"), READ)
def test_reads(text, unit, value):
    assert parse(text, unit) == value


@pytest.mark.parametrize(("text", "unit", "message"), REFUSED)
def test_refuses_and_says_what_would_be_right(text, unit, message):
    with pytest.raises(QuantityError, match=r"expected a \w+ .*such as") as caught:
        parse(text, unit)
    assert message in str(caught.value)


def test_suggests_the_unit_that_was_meant():
    with pytest.raises(QuantityError, match="did you mean 'Gbit/s'"):
        parse("25 gbit/s", "bit/s")


@given(st.floats(0, 1e18, allow_subnormal=False), st.sampled_from(["s", "B", "bit/s", "FLOP/s"]))
def test_what_is_shown_is_read_back_exactly(value, unit):
    assert parse(show(value, unit), unit) == value


REGISTRY = pint.UnitRegistry()
PINT = {"s": "second", "B": "byte", "bit/s": "bit/second"}
SAFE = [
    name
    for name in SPELLINGS
    if name
    in (
        "s",
        "ms",
        "us",
        "ns",
        "min",
        "B",
        "kB",
        "MB",
        "GB",
        "KiB",
        "MiB",
        "GiB",
        "bit/s",
        "kbit/s",
        "Mbit/s",
        "Gbit/s",
        "kB/s",
        "MB/s",
        "GB/s",
        "MiB/s",
    )
]


@given(st.integers(1, 10**6), st.sampled_from(SAFE))
def test_agrees_with_pint_where_pint_is_right(number, spelling):
    unit = SPELLINGS[spelling][0]
    expected = REGISTRY.Quantity(number, spelling).to(PINT[unit]).magnitude
    assert parse(f"{number} {spelling}", unit) == pytest.approx(expected, rel=1e-12)
