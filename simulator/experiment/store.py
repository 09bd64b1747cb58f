"""The store: one folder per run, named by content, which appears whole or not at all."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from simulator.errors import StoreError, printable
from simulator.experiment.manifest import manifest
from simulator.experiment.perfetto import rank_traces
from simulator.experiment.pictures import picture
from simulator.experiment.result import Result
from simulator.experiment.scenario import Scenario
from simulator.registry import kind_of

TABLE_SUFFIX = ".csv.gz"


def run_folder(out: Path, scenario: Scenario) -> Path:
    """Where the run of *scenario* belongs; no text of a user's is part of the name."""
    name = (
        f"{kind_of(scenario.algorithm)}-n{scenario.topology.workers}-{scenario.config_hash()[:10]}"
    )
    return out / "runs" / name


def save(
    result: Result, out: Path, *, trace: bool = False, volatile: Mapping[str, Any] | None = None
) -> Path:
    """Write a result folder and return its path.

    Parameters
    ----------
    result
        What to write.
    out
        Folder of the runs; made if it does not exist.
    trace
        Also write one timeline per worker for trace viewers.
    volatile
        What is different each time, such as wall time; goes into the manifest only.

    Raises
    ------
    StoreError
        If it cannot be written; nothing half-written is left.
    """
    final = run_folder(out, result.scenario)
    files = dict(_files(result, trace))
    files["manifest.json"] = _json(manifest(result, files, volatile or {}))
    with _errors(final.parent):
        _sweep_up(final.parent)
        temporary = final.parent / f".tmp-{socket.gethostname()}-{os.getpid()}-{final.name}"
        try:
            for name, content in files.items():
                _write(temporary / name, content)
            _publish(temporary, final)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    return final


def check_writable(out: Path) -> None:
    """Refuse a folder for results that cannot be one, before any work is done.

    Raises
    ------
    StoreError
        If *out*, or the nearest thing above it that exists, is no writable folder.
    """
    for place in (out, *out.absolute().parents):
        if place.exists():
            if not place.is_dir() or not os.access(place, os.W_OK):
                what = "is no folder" if not place.is_dir() else "cannot be written to"
                raise StoreError(f"{printable(str(place))} {what}; choose another with --out")
            return


def finished(out: Path, scenario: Scenario, *, trace: bool = False) -> Path | None:
    """Folder of an undamaged earlier run of *scenario* that has all that is asked for."""
    folder = run_folder(out, scenario)
    try:
        stored = json.loads((folder / "manifest.json").read_text())
        outputs, thinned = stored["outputs"], stored["scenario"]["record"]["every"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if thinned != scenario.record.every:
        return None
    record = scenario.record
    wanted = ["spans"] * record.spans + ["messages"] * record.messages
    names = [name + TABLE_SUFFIX for name in wanted] + ["trace/rank0.json.gz"] * trace
    if any(name not in outputs for name in names):
        return None
    for name, entry in outputs.items():
        try:
            content = (folder / name).read_bytes()
        except OSError:
            return None
        if hashlib.sha256(content).hexdigest() != entry["sha256"]:
            return None
    return folder


def write_text(path: Path, text: str) -> None:
    """Replace *path* in one step."""
    with _errors(path.parent):
        temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
        _write(temporary, text.encode())
        temporary.replace(path)


def table_text(columns: Mapping[str, Any]) -> str:
    """Columns as CSV; a missing number is an empty cell, a float its shortest spelling."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*map(_cells, columns.values()), strict=True))
    return stream.getvalue()


def _cells(column: Any) -> list[Any]:
    if isinstance(column, np.ndarray):
        if column.dtype.kind == "f":
            return ["" if value != value else value for value in column.tolist()]  # noqa: PLR0124
        return column.tolist()  # type: ignore[no-any-return]
    # A leading sign would make a formula of a name in a spreadsheet.
    return [f"'{text}" if text[:1] in ("=", "+", "-", "@") else text for text in column]


def _files(result: Result, trace: bool) -> Iterator[tuple[str, bytes]]:
    from ruamel.yaml import YAML

    stream = io.StringIO()
    yaml = YAML(pure=True)
    yaml.dump(result.scenario.resolved(), stream)
    yield "scenario.resolved.yaml", stream.getvalue().encode()
    yield "summary.json", _json(dict(result.summary))
    for name, columns in sorted(result.tables.items()):
        yield name + TABLE_SUFFIX, _gzip(table_text(columns))
    if result.graph is not None:
        yield "topology.json.gz", _gzip(json.dumps(picture(result.graph)))
    if trace:
        for rank, text in rank_traces(result):
            yield f"trace/rank{rank}.json.gz", _gzip(text)


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=2, allow_nan=False) + "\n").encode()


def _gzip(text: str) -> bytes:
    return gzip.compress(text.encode(), compresslevel=1, mtime=0)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def _publish(temporary: Path, final: Path) -> None:
    """Move a complete folder into place; an older one makes room."""
    if final.exists():
        old = temporary.with_name(temporary.name + "-old")
        final.rename(old)
        temporary.rename(final)
        shutil.rmtree(old)
    else:
        temporary.rename(final)


def _sweep_up(runs: Path) -> None:
    """Remove what processes of this machine that are no longer alive have left behind."""
    mark = f".tmp-{socket.gethostname()}-"
    for left in runs.glob(f"{mark}*"):
        pid = left.name.removeprefix(mark).split("-")[0]
        if pid.isdigit() and not _alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{printable(str(error.filename or folder))} cannot be written: "
            f"{error.strerror}; choose another folder with --out"
        ) from None
