"""Pages of docs/algorithms: what they say that the code says already.

``python -m tests.pages`` writes the generated part of every page anew, and of the index; it
begins a page for a new algorithm, and names the sections that are still to be written.
"""

import inspect
import re
import sys
from dataclasses import MISSING
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from simulator.algorithms import ALGORITHMS
from simulator.experiment.catalogue import needs_in_words
from simulator.experiment.settings import settable, unit_of
from simulator.registry import kind_of, summary
from simulator.units import show
from tests.timelines import CHANGES, SETTINGS

FOLDER = Path(__file__).parents[1] / "docs" / "algorithms"
INDEX = FOLDER / "README.md"
BEGIN, END = "<!-- generated: python -m tests.pages -->", "<!-- end -->"
SECTIONS = ("Reading the timeline", "Assumptions", "Deviations", "Source")
LONGEST = 12  # characters of a default
FAMILIES = {
    "Synchronous": ("sync-sgd", "ddp", "sync-ps", "backup-workers", "layered-sgd"),
    "Local and hierarchical": (
        "local-sgd",
        "post-local-sgd",
        "k-avg",
        "sasgd",
        "hier-avg",
        "lasgd",
        "delayed-averaging",
        "slowmo",
    ),
    "Asynchronous servers": ("async-ps", "downpour", "easgd", "eamsgd", "dc-asgd", "ssp"),
    "Stale-synchronous": ("dc-s3gd", "pipelined-sgd", "laga"),
    "Gossip": ("d-psgd", "ad-psgd", "sgp", "osgp", "eager-sgd", "wagma"),
    "Compressed": ("topk-sgd", "gtopk-sgd", "sketched-sgd", "gs-sgd", "powersgd"),
}


def parts(doc):
    """Summary, lead, equations, text and settings of a class docstring.

    >>> parts('''Do this.
    ...
    ... It goes so::
    ...
    ...     a = b
    ...
    ... That is all.
    ...
    ... Parameters
    ... ----------
    ... k, l
    ...     Of a
    ...     step.
    ... ''')
    ('Do this.', 'It goes so:', 'a = b', 'That is all.', {'k, l': 'Of a step.'})
    """
    text, _, settings = inspect.cleandoc(doc).partition("\nParameters\n----------\n")
    first, _, rest = text.partition("\n\n")
    before, _, after = rest.partition("::\n")
    block = re.match(r"\n((?:(?: {4}.*)?\n?)*)", after)
    equations = inspect.cleandoc(block[1] if block else "")
    words = after[block.end() :] if block else rest
    lead = f"{before.strip()}:" if before.strip() else ""
    found = re.findall(r"^(\S.*)\n((?: {4}.*\n?)+)", settings, re.M)
    return first, lead, equations, words.strip(), {n: " ".join(t.split()) for n, t in found}


def default(cls, name):
    """The default of one setting as a scenario would give it."""
    (item,) = [one for one in settable(cls) if one.name == name]
    value = item.default_factory() if item.default is MISSING else item.default
    unit = unit_of(get_type_hints(cls, include_extras=True)[name])
    if unit is not None and value is not None:
        exact = show(value, unit.symbol)
        return exact if len(exact) <= LONGEST else show(float(f"{value:.3g}"), unit.symbol)
    if hasattr(value, "kind"):
        return kind_of(value)
    plain = {None: "-", True: "true", False: "false", (): "[]"}
    return plain[value] if value is None or isinstance(value, bool | tuple) else str(value)


def choices(hint):
    """What a setting of type *hint* can be, if it is one of a few words.

    >>> choices(Literal["star", "tree"] | None)
    ['star', 'tree']
    """
    if get_origin(hint) is Literal:
        return list(get_args(hint))
    return [word for part in get_args(hint) for word in choices(part)]


def value(cls, name):
    """The default of one setting, and what else it can be."""
    given = default(cls, name)
    words = choices(get_type_hints(cls, include_extras=True)[name])
    others = ", ".join(word for word in words if word != given)
    return f"{given} (or {others})" if others else given


def table(cls, described):
    """Settings as a table, or a sentence; those that no entry of the docstring names are last."""
    named = {name for names in described for name in names.split(", ")}
    names = [item.name for item in settable(cls)]
    assert named <= set(names), f"{cls.__name__} describes {named - set(names)}, which it has not"
    described = described | {name: "" for name in names if name not in named}
    if not names:
        return ["It has no settings of its own."]
    rows = ["| setting | default | meaning |", "|---|---|---|"]
    for names, meaning in described.items():
        values = ", ".join(value(cls, name) for name in names.split(", "))
        told = meaning.replace("|", r"\|")
        rows.append(f"| `{names.replace(', ', '`, `')}` | {values} | {told} |")
    return rows


def flat(settings, prefix=""):
    """Settings as `path=value`."""
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        elif isinstance(value, list):
            yield from flat(dict(enumerate(value)), f"{prefix}{name}.")
        else:
            yield f"`{prefix}{name}={value}`"


def generated(kind):
    """The generated part of a page."""
    cls = ALGORITHMS[kind]
    first, lead, equations, words, described = parts(cls.__doc__)
    assert first.replace("\n", " ") == summary(cls)
    shown = list(flat(SETTINGS.get(kind, {}), "algorithm.")) + list(flat(CHANGES.get(kind, {})))
    needs = ", ".join(needs_in_words(cls.needs)) or "nothing in particular"
    lines = [first, "", *([lead, ""] if lead else []), "```text", *equations.splitlines(), "```"]
    lines += ["", *words.splitlines(), "", *table(cls, described), ""]
    lines += [f"Paper: {cls.paper}.  Specification: {cls.specification}.  Needs: {needs}.", ""]
    lines += [f"![timeline](figures/{kind}.png)", ""]
    lines += [f"Drawn with {', '.join(shown) if shown else 'the default settings'}.", ""]
    return "\n".join(lines)


def index():
    """The generated part of the index."""
    listed = {kind for kinds in FAMILIES.values() for kind in kinds}
    others = {"Others": tuple(sorted(set(ALGORITHMS) - listed))}
    lines = []
    for family, kinds in (FAMILIES | others).items():
        if kinds:
            lines += [f"## {family}", "", "| algorithm | what it does | specification |"]
            lines += ["|---|---|---|"]
            for kind in kinds:
                cls = ALGORITHMS[kind]
                what = f"{summary(cls)} | {cls.specification}"
                lines.append(f"| [{kind}]({kind}.md) | {what} |")
            lines.append("")
    return "\n".join(lines)


def replaced(page, part):
    """The text of *page* with its generated part replaced."""
    before, rest = page.split(f"{BEGIN}\n")
    return f"{before}{BEGIN}\n{part}{END}{rest.split(END, 1)[1]}"


def empty(kind):
    """A page without anything that a person has written."""
    sections = "".join(f"\n## {name}\n" for name in SECTIONS)
    return f"# {kind}\n\n{BEGIN}\n{END}\n{sections}"


def missing(page):
    """Sections of the text of a page that are not there, or say nothing."""
    _, *found = re.split(r"^## (.+)\n", page.split(END, 1)[1], flags=re.M)
    written = dict(zip(found[::2], found[1::2], strict=True))
    return [name for name in SECTIONS if not written.get(name, "").strip()]


def main():
    INDEX.write_text(replaced(INDEX.read_text(), index()))
    for kind in sorted(ALGORITHMS):
        path = FOLDER / f"{kind}.md"
        text = replaced(path.read_text() if path.exists() else empty(kind), generated(kind))
        path.write_text(text)
        if lacking := missing(text):
            print(f"{path.relative_to(FOLDER.parents[1])}: to be written: {', '.join(lacking)}")
        if not (FOLDER / "figures" / f"{kind}.png").exists():
            print(f"{kind}: no picture yet; python -m tests.timelines {kind}", file=sys.stderr)


if __name__ == "__main__":
    main()
