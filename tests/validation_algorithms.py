"""Algorithms against what three papers measured of them: tables of docs/validation.md.

``python -m tests.validation_algorithms`` writes them anew;
`tests/algorithms/test_head_to_head.py` holds them to what the page says.
"""

from tests.algorithms.head_to_head import (
    DENSE,
    EITHER,
    GPUS,
    GTOPK,
    MODELS,
    SLOWMO,
    THROUGHPUT,
    TOPK,
    WAGMA,
    needed_cost,
    needed_slowdown,
    simulated,
    slowmo,
    wagma,
    wagma_large,
    wagma_published,
)
from tests.validation import PAGE, write

FITTED = " (fitted)"


def compared(published, found, digits=0, fitted=False):
    """Cells: as published, as simulated, and the ratio."""
    if published is None:
        return ["", f"{found:.{digits}f}", ""]
    ratio = f"{found / published:.2f}" + (FITTED if fitted else "")
    return [f"{published:.{digits}f}", f"{found:.{digits}f}", ratio]


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def head(*names):
    return [row(*names), "|" + "---|" * len(names)]


def wagma_times():
    """64 samples each, two late in every step; minutes and speed-ups of 90 epochs."""
    yield from head(
        "algorithm",
        "published, min",
        "ms per step",
        "simulated",
        "ratio",
        "WAGMA is faster by, published",
        "simulated",
    )
    ours = "WAGMA, groups of 8"
    for name, (_, minutes, _, _) in WAGMA.items():
        published, found = wagma_published(name), wagma(name)
        cells = compared(published, found, fitted=name in ("all-reduce", "AD-PSGD"))
        gains = wagma_published(name) / wagma_published(ours), wagma(name) / wagma(ours)
        shown = "311 or 324" if minutes == EITHER else str(minutes)
        yield row(name, shown, *cells, *(f"{gain:.2f}" for gain in gains))


def wagma_large_times():
    """128 samples each: steps per second without delay, speed-ups with it."""
    yield from head(
        "algorithm",
        "steps/s without delay, published",
        "simulated",
        "ratio",
        "with delay, WAGMA is faster by, published",
        "simulated",
        "ratio",
    )
    ours = wagma_large("WAGMA, groups of 8", True)
    for name, (_, _, rate, gain) in WAGMA.items():
        fitted = name in ("local SGD, period 1", "AD-PSGD")
        cells = compared(rate, 1000 / wagma_large(name, False), 2, fitted)
        yield row(name, *cells, *compared(gain, wagma_large(name, True) / ours, 2))


def slowmo_times():
    """Milliseconds per iteration."""
    yield from head(
        "base method",
        "published, ms",
        "simulated",
        "ratio",
        "with SlowMo, published",
        "simulated",
        "ratio",
        "double averaging, published",
        "simulated",
        "ratio",
    )
    for base, (_, period, alone, with_it, double) in SLOWMO.items():
        cells = compared(alone, slowmo(base), fitted=base == "OSGP")
        if period is None:
            yield row(base, *cells, *[""] * 6)
            continue
        cells += compared(with_it, slowmo(base, 0.7))
        cells += compared(double, slowmo(base, 0.0, "average")) if double else [""] * 3
        yield row(base, *cells)


def throughputs(method, fitted=False):
    """Samples per second of a GPU: published / simulated, and what is missing."""
    for model in MODELS:
        cells = []
        for gpus, published in zip(GPUS, THROUGHPUT[method][model], strict=True):
            found = simulated(method, model, gpus, fitted)
            digits = 1 if published >= 10 else 2
            apart = round(found / published - 1, 2) + 0.0  # not "-0 %"
            cell = f"{published:.{digits}f} / {found:.{digits}f} ({apart:+.0%})"
            ours = fitted and model == "VGG-16"
            ours = ours or (method == GTOPK and gpus == (4 if model == "LSTM-PTB" else 32))
            cells.append(cell + (FITTED if ours else ""))
        yield row(model, *cells)


def by_gpus(first):
    return head(first, *(f"{gpus} GPUs" for gpus in GPUS))


def gtopk():
    yield from by_gpus("gTop-k, published / simulated")
    yield from throughputs(GTOPK)


def topk():
    yield from by_gpus("Top-k, host cost as for gTop-k")
    yield from throughputs(TOPK)
    yield row("**host cost that Top-k would need**, ns per parameter", *[""] * len(GPUS))
    for model in MODELS:
        yield row(model, *(f"{needed_cost(model, gpus):.0f}" for gpus in GPUS))
    yield row("**Top-k, with the host cost that VGG-16 needs**", *[""] * len(GPUS))
    yield from throughputs(TOPK, fitted=True)


def dense():
    yield from by_gpus("dense, ring at the measured speed")
    yield from throughputs(DENSE)
    yield row("**by how much a byte would have to be slower**", *[""] * len(GPUS))
    for model in MODELS:
        yield row(model, *(f"{needed_slowdown(model, gpus):.1f}" for gpus in GPUS))
    yield row("**dense, slower by what VGG-16 needs**", *[""] * len(GPUS))
    yield from throughputs(DENSE, fitted=True)


SECTIONS = {
    "wagma": wagma_times,
    "wagma-large": wagma_large_times,
    "slowmo": slowmo_times,
    "gtopk": gtopk,
    "topk": topk,
    "dense": dense,
}


def shown(section):
    """The table of *section* that the page has."""
    text = PAGE.read_text()
    begin, end = f"<!-- {section} -->\n", f"\n<!-- end of {section} -->"
    return text.split(begin)[1].split(end)[0].splitlines()


if __name__ == "__main__":
    for name, table in SECTIONS.items():
        write(name, table())
