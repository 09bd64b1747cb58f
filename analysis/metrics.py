"""Metrics: what the runs of a comparison say, seeds put together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median
from typing import Any

from analysis.errors import ResultError
from analysis.load import Run

MORE_IS_BETTER = ("final_accuracy", "samples_per_s", "samples", "samples_applied", "steps")
PARTS = ("compute_s", "io_s", "communication_s", "idle_s")


def grouped(runs: Sequence[Run], by: str = "algorithm.kind") -> dict[tuple[str, int], list[Run]]:
    """Runs by (candidate, number of workers); the runs of a group differ in their seed only.

    The candidate is the value of the setting *by*; where other settings vary as well, they
    are named behind it, so that only like is put together.
    """
    groups: dict[tuple[str, int], list[Run]] = {}
    varying = _varying(runs, by)
    named = [[part for part in path.split(".") if not part.isdigit()] for path in varying]
    tails = [".".join(parts[-2:]) for parts in named]
    short = {
        path: tail if tails.count(tail) == 1 else path
        for path, tail in zip(varying, tails, strict=True)
    }
    for run in runs:
        settings = run.settings()
        others = [f"{short[path]}={_text(settings[path])}" for path in varying if path in settings]
        label = ", ".join([_text(run.setting(by)), *others])
        groups.setdefault((label, run.key[1]), []).append(run)
    return groups


def _text(value: Any) -> str:
    """A setting's value as a label.

    >>> [_text(value) for value in (1e11, 2.5e9, 0.5, 3, "ring")]
    ['100G', '2.5G', '0.5', '3', 'ring']
    """
    if not isinstance(value, float):
        return str(value)
    for scale, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= scale:
            return f"{value / min(scale, 1e3 if prefix == 'k' else scale):g}{prefix}"
    return f"{value:g}"


def _varying(runs: Sequence[Run], by: str) -> list[str]:
    """Settings beside *by*, the seed and the size of the cluster that tell *runs* apart.

    Settings of the algorithm count only among runs of the same algorithm.
    """
    all_settings = [run.settings() for run in runs]
    sizes = [run.key[1] for run in runs]
    varying = []
    for path in dict.fromkeys(path for settings in all_settings for path in settings):
        if path in (by, "seed", "name", "topology.hosts") or path.startswith("record."):
            continue
        values: dict[Any, Any] = {}
        for settings, size in zip(all_settings, sizes, strict=True):
            own: Any = ""
            if path.startswith("algorithm.") and path != "algorithm.kind":
                own = settings["algorithm.kind"]
            elif path.startswith("topology."):  # a fat tree's k follows from its size
                own = size
            if path in settings and values.setdefault(own, settings[path]) != settings[path]:
                varying.append(path)
                break
    return varying


def middle(values: Sequence[float | None]) -> float | None:
    """Median; a missing value is larger than any other, and the result may be missing.

    >>> middle([3.0, 1.0, 2.0]), middle([1.0, None, None])
    (2.0, None)
    """
    result = median([math.inf if value is None else value for value in values])
    return result if math.isfinite(result) else None


def numbers(run: Run) -> dict[str, float | None]:
    """What can be compared: the numbers of the summary and of its breakdown."""
    flat = {**run.summary, **run.summary["breakdown"]}
    other = ("schema_version", "seed", "workers", "hosts")
    return {
        key: value
        for key, value in flat.items()
        if key not in other and (value is None or isinstance(value, int | float))
    }


def busiest(run: Run) -> tuple[str, str, float] | None:
    """Source, target and utilisation of the link direction that was used most, if any was."""
    links = run.table("links")
    if not len(links) or not links["utilisation"].max() > 0:
        return None
    at = int(links["utilisation"].to_numpy().argmax())
    source, target = (str(links[name].iloc[at]) for name in ("source", "target"))
    return source, target, float(links["utilisation"].iloc[at])


def bottleneck(runs: Sequence[Run]) -> str | None:
    """The link direction that *runs* used most, over the seeds, in words.

    Utilisation is over a whole run: a link that is full while workers wait for it and idle
    while they compute has a lower one.
    """
    found = [one for one in map(busiest, runs) if one is not None]
    if not found:
        return None
    source, target, used = max(found, key=lambda one: one[2])
    return f"{source} -> {target} ({used:.0%})"


def comparison(
    runs: Sequence[Run], by: str = "algorithm.kind", metric: str = "time_to_target_s"
) -> list[dict[str, Any]]:
    """One row per value of *by* and number of workers; medians over seeds.

    Parameters
    ----------
    runs
        What to compare.
    by
        Setting that tells the candidates apart.
    metric
        Number of the summary that decides; the least wins, of `MORE_IS_BETTER` the largest.

    Raises
    ------
    ResultError
        If the summary has no such number.
    """
    rows = []
    if metric not in numbers(runs[0]):
        raise ResultError(f"no metric {metric!r}; known: {', '.join(numbers(runs[0]))}")
    priced = any(run.summary.get("cost") is not None for run in runs)
    for (name, workers), members in grouped(runs, by).items():

        def typical(key: str, of: Sequence[Run] = members) -> float | None:
            return middle([numbers(run)[key] for run in of])

        row: dict[str, Any] = {
            by.removesuffix(".kind"): name,
            "workers": workers,
            "seeds": len(members),
            metric: typical(metric),
        }
        for key in ("final_accuracy", "simulated_time_s", "samples_per_s", "mean_staleness"):
            row.setdefault(key, typical(key))
        if priced:
            row.setdefault("cost", typical("cost"))
        for part in PARTS:
            share = middle([_share(run, part) for run in members])
            row[part.removesuffix("_s")] = None if share is None else f"{share:.0%}"
        row["busiest link"] = bottleneck(members)
        row["status"] = ", ".join(sorted({run.summary["status"] for run in members}))
        rows.append(row)
    sign = -1 if metric in MORE_IS_BETTER else 1
    return sorted(
        rows, key=lambda row: (row["workers"], row[metric] is None, sign * (row[metric] or 0.0))
    )


def _share(run: Run, part: str) -> float | None:
    total = run.summary["simulated_time_s"]
    return run.summary["breakdown"][part] / total if total else None


def answers(rows: Sequence[dict[str, Any]], metric: str = "time_to_target_s") -> list[str]:
    """One sentence per number of workers: who comes first, and by how much.

    *rows* are those of `comparison`.
    """
    sentences = []
    for workers in dict.fromkeys(row["workers"] for row in rows):
        known = [row for row in rows if row["workers"] == workers and row[metric] is not None]
        names = [next(iter(row.values())) for row in known]
        if not known:
            sentences.append(f"{workers} workers: no run has a {metric}.")
        elif len(known) == 1:
            sentences.append(
                f"{workers} workers: only {names[0]} has a {metric}, {known[0][metric]:.4g}."
            )
        else:
            first, second = known[0][metric], known[1][metric]
            apart = abs(second / first - 1) if first else 0.0
            word = "less" if second < first else "more"
            sentences.append(
                f"{workers} workers: {names[0]} is first with {metric} = {first:.4g}; "
                f"{names[1]} has {apart:.0%} {word}."
            )
    return sentences
