"""Tables of numbers that users bring along as CSV files, with the line of every mistake."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from simulator.errors import DataError, InvalidInput, escaped, printable, suggestion

MOST_BYTES = 256 * 2**20
LARGEST = 1e15
Row = tuple[int, dict[str, str]]  # line in the file, and its cells by column


def read_rows(path: str | Path, needed: Sequence[str]) -> Iterator[Row]:
    """Rows of a CSV file with a header, which has the columns *needed*.

    Commas, semicolons and tabs separate cells; empty lines and lines that begin with
    ``#`` are passed over.

    Raises
    ------
    DataError
        If the file cannot be read, or lacks a column or rows.
    """
    text, name = _text(Path(path)), escaped(str(path))
    lines = [
        (number, line)
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.lstrip().startswith("#")
    ]
    if len(lines) < 2:
        raise DataError(f"{name} has no rows; expected a header and a row for each entry")
    numbers = [number for number, _ in lines]
    delimiter = max(",;\t", key=lines[0][1].count)
    reader = csv.reader((f"{line}\n" for _, line in lines), delimiter=delimiter)
    try:
        header = [cell.strip() for cell in next(reader)]
        for column in needed:
            if column not in header:
                raise located(
                    path, numbers[0], f"no column {column!r}; {suggestion(column, header)}"
                )
        while reader.line_num < len(numbers):
            number = numbers[reader.line_num]
            row = next(reader)
            yield number, dict(zip(header, (cell.strip() for cell in row), strict=False))
    except csv.Error as error:
        raise DataError(f"{name} is no CSV: {error}") from None


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DataError(f"{escaped(str(path))} is larger than {MOST_BYTES >> 20} MiB")
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is no UTF-8 text"
        raise DataError(f"{escaped(str(path))} cannot be read: {reason}") from None


def cell(path: str | Path, row: Row, column: str, read: type[int] | type[float]) -> float:
    """The number in *column* of *row*.

    Raises
    ------
    DataError
        With file and line, if it is none, or is negative or not finite.
    """
    line, cells = row
    text = cells.get(column, "")
    try:
        value = float(read(text))
    except ValueError:
        what = "whole number" if read is int else "number"
        raise located(path, line, f"{column} is {printable(text)}, no {what}") from None
    if not 0 <= value < float("inf"):
        raise located(path, line, f"{column} is {printable(text)}; expected 0 or more")
    if value > LARGEST:
        raise located(path, line, f"{column} is {printable(text)}, more than {LARGEST:g}")
    return value


def located(path: str | Path, line: int, message: str | InvalidInput) -> DataError:
    """An error in line *line* of the file *path*."""
    return DataError(f"{escaped(str(path))}:{line}: {message}")
