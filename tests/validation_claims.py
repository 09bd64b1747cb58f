"""What algorithms should show, and what they do: tables of docs/claims.md.

``python -m tests.validation_claims`` writes them anew, ``python -m tests.validation_claims 6
11-slack`` those of item 6 and one of item 11; `tests/algorithms/test_claims.py` holds their
directions.
"""

import sys
from math import isinf
from pathlib import Path
from statistics import median

from tests.algorithms import claims as c
from tests.validation import write

PAGE = Path(__file__).parents[1] / "docs" / "claims.md"


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def head(*names):
    return [row(*names), "|" + "---|" * len(names)]


def number(value, digits):
    return "never" if isinf(value) else f"{value:.{digits}f}"


def said(values, digits, middle=None):
    """Mean (or median) and range; only one number if all are alike."""
    shown = [number(value, digits) for value in (min(values), max(values))]
    typical = sum(values) / len(values) if middle is None else middle(values)
    return number(typical, digits) + ("" if shown[0] == shown[1] else f" ({shown[0]}..{shown[1]})")


def points(found):
    """Accuracy in per cent."""
    return said([100 * value for value in c.every("final_accuracy", found)], 1)


def loss(found):
    values = c.every("final_loss", found)
    diverged = sum(summary["status"] == "diverged" for summary in found)
    if diverged:
        return f"{diverged} of {len(found)} diverge"
    return said(values, 3) if max(values) < 100 else f"up to {max(values):.0e}"


def rate(found):
    return said(c.every("steps_per_s", found), 3)


def target(found):
    return said(c.every("time_to_target_s", found), 1, median)


def even():
    yield from head(
        "algorithm", "steps/s", "accuracy, %", "accuracy, labels apart", "loss, labels apart"
    )
    for name, algorithm in c.PEERS.items():
        alike = c.runs(c.HEAD, algorithm, *c.EVEN, seeds=c.SEEDS)
        apart = c.runs(c.HEAD, algorithm, *c.EVEN, c.BY_LABEL, seeds=c.SEEDS)
        yield row(name, rate(alike), points(alike), points(apart), loss(apart))


def late():
    yield from head("algorithm", "steps/s, links cost nothing", "steps/s, 10 Gbit/s")
    for name, algorithm in c.LATE_ONES.items():
        found = [c.runs(c.HEAD, algorithm, *c.LATE, *more) for more in ((c.FREE,), ())]
        yield row(name, *map(rate, found))


def layered():
    yield from head("gradients, loading", *(f"Q = {hosts}" for hosts in c.HOSTS))
    for name, (alone, more) in c.LOADING.items():
        cells = []
        for hosts in c.HOSTS:
            flat, own = (c.layers(kind, hosts, *more) for kind in ("sync-sgd", "layered-sgd"))
            cells.append(f"{alone / flat:.3f} / {alone / own:.3f} ({flat / own:.2f})")
        yield row(name, *cells)


def layered_loss():
    yield from head("seed", "loss, all-reduce", "layered", "largest difference in 50 evaluations")
    for seed in c.FEW:
        flat, own = (
            c.one(c.LAYERS, f"{{kind: {kind}}}", (), seed) for kind in ("sync-sgd", "layered-sgd")
        )
        apart = abs(flat["losses"] - own["losses"]).max()
        cells = [f"{summary['final_loss']:.6f}" for summary in (flat, own)]
        yield row(str(seed), *cells, f"{apart:.0e}" if apart else "0")


def hidden():
    yield from head("Gbit/s", "T_ar / c", "all-reduce, ms", "DC-S3GD", "max(c, T_ar)", "faster by")
    for gbit in (100, 25, 10, 8.5, 5, 2, 1):
        flat, own, needed = c.stale("sync-sgd", gbit), c.stale("dc-s3gd", gbit), c.ring(gbit)
        cells = (f"{1000 * value:.1f}" for value in (flat, own, max(0.18, needed)))
        yield row(f"{gbit:g}", f"{needed / 0.18:.2f}", *cells, f"{flat / own:.2f}")


def compensated():
    yield from head("rate", *c.DELAYED)
    for name, setting in c.RATES.items():
        found = [c.runs(c.HEAD, kind, setting, seeds=c.SEEDS) for kind in c.DELAYED.values()]
        yield row(f"{name}: loss", *map(loss, found))
        yield row(f"{name}: accuracy, %", *map(points, found))


def local():
    yield from head("", *(f"H = {steps}" for steps in c.PERIODS))
    kinds = [f"{{kind: local-sgd, period: {steps}}}" for steps in c.PERIODS]
    alike = [c.runs(c.HEAD, kind, seeds=c.SEEDS) for kind in kinds]
    yield row("steps/s", *map(rate, alike))
    yield row("accuracy, %", *map(points, alike))
    for name, setting in {"two blocks of labels": c.BY_TWO, "one block": c.BY_LABEL}.items():
        found = [c.runs(c.HEAD, kind, setting, seeds=c.SEEDS) for kind in kinds]
        yield row(f"accuracy, {name} each", *map(points, found))
    noise = "workload.noise={kind: lognormal, sigma: 0.3}"
    lost = [[1000 * c.stall(steps, noise, seed=s) for s in c.FEW] for steps in c.PERIODS]
    yield row("lost to jitter, ms a step", *(said(values, 1) for values in lost))
    alone = sum(lost[0]) / len(lost[0])
    yield row("jitter / sqrt(H)", *(f"{alone / steps**0.5:.1f}" for steps in c.PERIODS))
    always = [1000 * c.stall(steps, c.QUIET, c.slow(1.5)) for steps in c.PERIODS]
    yield row("lost to a slow worker, ms", *(f"{value:.1f}" for value in always))


def hierarchical():
    yield from head(
        "algorithm", "distance", "labels apart", "GB per host uplink", "loss after 64 steps"
    )
    for name, kind in c.HIERARCHY.items():
        apart = said([c.apart(kind, seed) for seed in c.FEW], 3)
        labels = said([c.apart(kind, seed, c.BY_LABEL) for seed in c.FEW], 3)
        found = c.runs(c.LAYERS, kind, c.NO_LOADING, "stop.steps=64")
        sent = said([value / 4e9 for value in c.every("uplink_nbytes", found)], 4)
        yield row(name, apart, labels, sent, loss(found))


def elastic():
    yield from head("algorithm", *(f"tau = {tau}" for tau in c.TAUS))
    for name in c.EXCHANGES:
        found = [c.exchanges(name, tau) for tau in c.TAUS]
        yield row(f"{name}: accuracy, %", *map(points, found))
        yield row(f"{name}: loss", *map(loss, found))


def hosts_apart():
    widths = (100, 25, 10, 5, 1)
    yield from head("algorithm", *(f"{gbit} Gbit/s" for gbit in widths))
    for name in c.ACROSS:
        yield row(f"{name}: s", *(span(c.across(name, gbit)) for gbit in widths))
    averaged = [sent(c.across("LASGD, H = 8", gbit)) for gbit in widths]
    yield row("LASGD: GB per host uplink", *averaged)
    labels = [c.across("LASGD, H = 8", gbit, c.BY_LABEL) for gbit in widths]
    yield row("LASGD: loss, labels apart", *map(loss, labels))


def span(found):
    return said(c.every("simulated_time_s", found), 1)


def sent(found):
    return said([value / 4e9 for value in c.every("uplink_nbytes", found)], 1)


def slow_gpu():
    yield from head("algorithm", "s", "one GPU 2 times as slow", "4 times as slow")
    for name in c.ACROSS:
        alone, *slowed = (c.across(name, 10, *more) for more in ((), (c.slow(2),), (c.slow(4),)))
        base = c.mean("simulated_time_s", alone)
        cells = [
            f"{span(found)}: +{c.mean('simulated_time_s', found) / base - 1:.1%}"
            for found in slowed
        ]
        yield row(name, span(alone), *cells)


def delayed():
    yield from head("algorithm", *(f"M = {workers}" for workers in c.WORKERS))
    for name in c.COMPENSATED:
        found = [c.asynchronous(name, workers) for workers in c.WORKERS]
        yield row(f"{name}: accuracy, %", *map(points, found))
        yield row(f"{name}: loss", *map(loss, found))
    others = {"sync-ps": "{kind: sync-ps}", "all-reduce": "{kind: sync-sgd}"}
    for name in (*c.COMPENSATED, *others):
        kind, seeds = (others[name], c.FEW) if name in others else (name, c.SEEDS)
        found = [c.asynchronous(kind, workers, seeds=seeds) for workers in c.WORKERS]
        yield row(f"{name}: steps/s", *map(rate, found))


def slacks():
    for name, (values, _, _) in c.SLACKS.items():
        yield from ([""] if name != next(iter(c.SLACKS)) else [])
        yield from head(name, *map(str, values))
        seeds = c.SEEDS if name.endswith(("limit", "labels apart")) else c.FEW
        found = [c.slack(name, value, seeds) for value in values]
        yield row("s to the target", *map(target, found))
        yield row("steps/s", *map(rate, found))
        yield row("accuracy, %", *map(points, found))


def always_slow():
    yield from head("algorithm", "steps/s", "one worker 4 times as slow", "left")
    for name in c.PERSISTENT:
        alone, slowed = (c.persistent(name, factor) for factor in (1, 4))
        left = c.mean("samples_per_s", slowed) / c.mean("samples_per_s", alone)
        yield row(name, rate(alone), rate(slowed), f"{left:.0%}")


def skew():
    yield from head("who is late", *c.QUORUMS)
    for name in c.SKEWS:
        found = [c.skewed(quorum, name) for quorum in c.QUORUMS]
        yield row(f"{name}: accuracy, %", *map(points, found))
        yield row(f"{name}: steps/s", *map(rate, found))


def feedback():
    yield from head("algorithm", "loss", "accuracy, %")
    for name in c.SPARSE:
        yield row(name, loss(c.sparse(name)), points(c.sparse(name)))


def processes():
    yield from head("algorithm", "processes beside the workers: 2 hosts", "4 hosts", "8 hosts")
    for kind in ("sync-sgd", "layered-sgd", "dc-asgd", "sasgd"):
        found = [
            c.one(c.LAYERS, f"{{kind: {kind}}}", (f"topology.hosts={n}", "stop.steps=2"), 0)
            for n in (2, 4, 8)
        ]
        yield row(kind, *(str(summary["extra_processes"]) for summary in found))


SECTIONS = {
    "1-even": even,
    "2-late": late,
    "4-layered": layered,
    "4-loss": layered_loss,
    "5-hidden": hidden,
    "5-compensated": compensated,
    "6-local": local,
    "7-hierarchical": hierarchical,
    "8-elastic": elastic,
    "9-hosts": hosts_apart,
    "9-slow": slow_gpu,
    "10-delayed": delayed,
    "11-slack": slacks,
    "11-slow": always_slow,
    "12-skew": skew,
    "14-feedback": feedback,
    "15-processes": processes,
}


def main(wanted):
    unknown = [one for one in wanted if not any(named(name, one) for name in SECTIONS)]
    if unknown:
        sys.exit(f"no {', '.join(unknown)}; known: {', '.join(SECTIONS)}")
    for name, table in SECTIONS.items():
        if not wanted or any(named(name, one) for one in wanted):
            write(name, table(), PAGE)


def named(section, wanted):
    return wanted in (section, section.split("-")[0])


if __name__ == "__main__":
    main(sys.argv[1:])
