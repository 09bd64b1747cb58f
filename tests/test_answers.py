"""What-if scenarios open with a question and end with the answer that compare gives today."""

import pytest

import scenarios
from tests.answers import answer_of, kept, sweep_of

ASKED = [name for name in scenarios.names() if sweep_of(scenarios.path(name)) is not None]


def test_the_questions_of_everyday_are_asked():
    assert set(ASKED) >= {
        "slow-rack",
        "noisy-neighbour",
        "spot-preemption",
        "mixed-gpus",
        "ethernet",
        "page-cache",
    }
    for name in ASKED:
        first, second = scenarios.path(name).read_text().splitlines()[:2]
        assert first.startswith("# What if ")
        assert "?" in first
        assert second.startswith(f"# Try: paceline sweep {name} ")


@pytest.mark.slow
@pytest.mark.parametrize("name", ASKED)
def test_the_answer_is_what_compare_prints(name):
    """``python -m tests.answers`` writes it anew."""
    assert kept(scenarios.path(name)) == answer_of(scenarios.path(name))
