"""Quantities: SI base units inside, text with a unit only at the border.

Inside the program a time is a float of seconds, a size a float of bytes, a rate
a float of bit/s.  `parse` is the only way in and `show` the only way out.  A
lower-case b is a bit and an upper-case B a byte, always; k, M, G, T are powers of
1000 and Ki, Mi, Gi, Ti powers of 1024 (KB is read as kB).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

from simulator.errors import QuantityError, printable, suggestion

_DECIMAL = {"": "1", "k": "1e3", "K": "1e3", "M": "1e6", "G": "1e9", "T": "1e12", "P": "1e15"}
_BINARY = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}
_LARGE = {
    name: Decimal(scale)
    for name, scale in (*_DECIMAL.items(), *((k, str(v)) for k, v in _BINARY.items()))
}
_SMALL = {"": "1", "m": "1e-3", "u": "1e-6", "\u00b5": "1e-6", "\u03bc": "1e-6", "n": "1e-9"}
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,4})?)\s*(\S.*)?")

BITS_PER_BYTE = 8
DIMENSIONS = {
    "s": "time",
    "B": "size",
    "bit/s": "rate",
    "FLOP": "amount of work",
    "FLOP/s": "speed",
    "samples": "number of samples",
}
# Beyond these a number is a slip of the pen, and sums of times would leave the floats.
LARGEST = {"s": 1e9, "B": 1e18, "bit/s": 1e18, "FLOP": 1e30, "FLOP/s": 1e24, "samples": 1e15}
SMALLEST_RATE = 1.0
EXAMPLES = {
    "s": "10 us",
    "B": "100 MB",
    "bit/s": "10 Gbit/s",
    "FLOP": "4 GFLOP",
    "FLOP/s": "15 TFLOP/s",
    "samples": "1600 samples",
}


def _spellings() -> dict[str, tuple[str, Decimal]]:
    """Every unit that can be read: spelling -> (base unit, factor)."""
    table = {prefix + "s": ("s", Decimal(scale)) for prefix, scale in _SMALL.items()}
    table |= {"min": ("s", Decimal(60)), "h": ("s", Decimal(3600))}
    table |= {name: ("samples", Decimal(1)) for name in ("samples", "sample")}
    for prefix, scale in _LARGE.items():
        table[prefix + "B"] = ("B", scale)
        for bit in ("bit", "b"):
            table[prefix + bit] = ("B", scale / 8)
        for rate, bits in {"bit/s": 1, "b/s": 1, "bps": 1, "B/s": 8, "Bps": 8}.items():
            table[prefix + rate] = ("bit/s", scale * bits)
        for name in ("FLOP", "FLOPs"):
            table[prefix + name] = ("FLOP", scale)
        for name in ("FLOP/s", "FLOPS", "Flop/s", "f"):
            table[prefix + name] = ("FLOP/s", scale)
    return table


SPELLINGS = _spellings()


def parse(value: str | float, unit: str) -> float:
    """Value of a quantity in the base unit *unit*.

    Parameters
    ----------
    value
        Text such as ``"25 Gbit/s"``; a bare number is taken in the base unit.
    unit
        One of ``s B bit/s FLOP FLOP/s samples``.

    Raises
    ------
    QuantityError
        If the text is no number with a known unit, has another dimension, is
        negative or not finite.

    >>> parse("25 Gbit/s", "bit/s"), parse("5us", "s"), parse("2 MiB", "B")
    (25000000000.0, 5e-06, 2097152.0)
    >>> parse("12.5 GBps", "bit/s")
    100000000000.0
    >>> parse("25 Gbit", "bit/s")
    Traceback (most recent call last):
    ...
    simulator.errors.QuantityError: '25 Gbit' is a size; expected a rate such as '10 Gbit/s'
    """
    number = _read(value, unit) if isinstance(value, str) else float(value)
    if not math.isfinite(number):
        raise QuantityError(f"{printable(value)} is not finite; expected {_wanted(unit)}")
    if number < 0:
        raise QuantityError(f"{printable(value)} is negative; expected {_wanted(unit)}")
    return number


def _read(text: str, unit: str) -> float:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise QuantityError(
            f"{printable(text)} is not a number with a unit; expected {_wanted(unit)}"
        )
    digits, spelling = match[1], (match[2] or "").strip()
    if spelling and spelling not in SPELLINGS:
        near = {name for name, (base, _) in SPELLINGS.items() if base == unit}
        raise QuantityError(
            f"{printable(text)}: no unit {printable(spelling)}; expected "
            f"{_wanted(unit)}{_hint(spelling, near)}"
        )
    base, scale = SPELLINGS[spelling] if spelling else (unit, Decimal(1))
    if base != unit:
        raise QuantityError(f"{printable(text)} is a {DIMENSIONS[base]}; expected {_wanted(unit)}")
    # Decimal, so that "10 us" is the float 1e-05 and not its neighbour.
    return float(Decimal(digits) * scale)


def _hint(spelling: str, near: set[str]) -> str:
    other_case = [name for name in sorted(near) if name.lower() == spelling.lower()]
    hint = suggestion(spelling, other_case or near)
    return f" ({hint})" if hint.startswith("did") else ""


def _wanted(unit: str) -> str:
    return f"a {DIMENSIONS[unit]} such as {EXAMPLES[unit]!r}"


def show(value: float, unit: str) -> str:
    """The one spelling in which a quantity is written; `parse` reads it back exactly.

    >>> show(25e9, "bit/s"), show(5e-06, "s"), show(0.0, "s"), show(1600, "samples")
    ('25 Gbit/s', '5 us', '0 s', '1600 samples')
    """
    prefixes = {"s": ("", "m", "u", "n"), "samples": ("",)}.get(unit, ("P", "T", "G", "M", "k", ""))
    exact = Decimal(repr(float(value)))
    for prefix in prefixes:
        scaled = exact / SPELLINGS[prefix + unit][1]
        if scaled >= 1 or prefix == prefixes[-1] or not value:
            break
    if not value:
        prefix, scaled = "", Decimal(0)
    text = f"{scaled.normalize():f} {prefix}{unit}"
    return text if parse(text, unit) == value else f"{float(value)!r} {unit}"


def transfer_time(nbytes: float, bandwidth: float) -> float:
    """Seconds that *nbytes* take at *bandwidth* bit/s: the one place where bytes become bits.

    >>> transfer_time(125e6, 1e9)
    1.0
    """
    return BITS_PER_BYTE * nbytes / bandwidth


@dataclass(frozen=True)
class Unit:
    """Marks a setting as a quantity: ``Annotated[float, Unit("s")]``.

    pydantic calls the two hooks, so settings are read through `parse` and editors
    know that text with a unit is welcome; lower layers need not know pydantic.
    """

    symbol: str
    positive: bool = False

    def read(self, value: Any) -> Any:
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            return value  # pydantic says which type is wanted
        number = parse(value, self.symbol)
        if self.positive and number == 0:
            raise QuantityError(f"{printable(value)} is zero; expected {_wanted(self.symbol)}")
        if number > LARGEST[self.symbol]:
            raise QuantityError(
                f"{printable(value)} is more than {show(LARGEST[self.symbol], self.symbol)}; "
                f"expected {_wanted(self.symbol)}"
            )
        if self.positive and self.symbol == "bit/s" and number < SMALLEST_RATE:
            raise QuantityError(
                f"{printable(value)} is less than 1 bit/s; expected {_wanted(self.symbol)}"
            )
        return number

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        from pydantic_core import core_schema

        return core_schema.no_info_before_validator_function(self.read, handler(source))

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        return {
            "anyOf": [{"type": "number", "minimum": 0}, {"type": "string"}],
            "description": f"{DIMENSIONS[self.symbol]} in {self.symbol}",
            "examples": [EXAMPLES[self.symbol]],
        }


Seconds: TypeAlias = Annotated[float, Unit("s")]
Duration: TypeAlias = Annotated[float, Unit("s", positive=True)]
Bytes: TypeAlias = Annotated[float, Unit("B")]
BitsPerSecond: TypeAlias = Annotated[float, Unit("bit/s", positive=True)]
Samples: TypeAlias = Annotated[float, Unit("samples", positive=True)]
