"""Pages of docs/algorithms: there is one for every algorithm, up to date and written."""

import pytest

from simulator.algorithms import ALGORITHMS
from tests.pages import FAMILIES, FOLDER, INDEX, empty, generated, index, missing, replaced
from tests.timelines import CHANGES, SETTINGS

EVERY = pytest.mark.parametrize("kind", sorted(ALGORITHMS))
LARGEST = 45_000  # bytes of a picture


@EVERY
def test_every_algorithm_has_a_page_that_is_up_to_date(kind):
    text = (FOLDER / f"{kind}.md").read_text()
    assert text == replaced(text, generated(kind)), "run python -m tests.pages"
    assert text.startswith(f"# {kind}\n")
    assert missing(text) == []


@EVERY
def test_every_algorithm_has_a_small_picture(kind):
    assert (FOLDER / "figures" / f"{kind}.png").stat().st_size <= LARGEST


def test_index_and_families_name_every_algorithm_once():
    text = INDEX.read_text()
    assert text == replaced(text, index()), "run python -m tests.pages"
    assert sorted(kind for kinds in FAMILIES.values() for kind in kinds) == sorted(ALGORITHMS)


def test_nothing_is_left_of_algorithms_that_are_gone():
    pages = {path.stem for path in FOLDER.glob("*.md")} - {"README"}
    pictures = {path.stem for path in (FOLDER / "figures").glob("*.png")}
    assert pages == pictures == set(ALGORITHMS)
    assert {*SETTINGS, *CHANGES} <= set(ALGORITHMS)


def test_sections_that_are_still_to_be_written_are_named():
    page = replaced(empty("sync-sgd"), generated("sync-sgd"))
    assert missing(page) == ["Reading the timeline", "Assumptions", "Deviations", "Source"]
    written = page.replace("## Source\n", "## Source\n\nA paper.\n")
    assert missing(written) == ["Reading the timeline", "Assumptions", "Deviations"]
