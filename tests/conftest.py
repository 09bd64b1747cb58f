"""Options and settings shared by all tests."""

import pytest
from hypothesis import settings

# No deadline: machines are noisy, and speed is measured in tests/benchmarks only.
settings.register_profile("paceline", deadline=None, max_examples=60, derandomize=True)
settings.load_profile("paceline")


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


@pytest.fixture
def update_golden(request):
    """True if the golden tables are to be rewritten."""
    return request.config.getoption("--update-golden")
