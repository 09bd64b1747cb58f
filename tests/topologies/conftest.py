"""Reading files from text."""

import pytest

from simulator.errors import TopologyError
from topologies.readers import read_topology


@pytest.fixture
def read(tmp_path):
    def reader(text, defaults=None, name="cluster.txt"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return read_topology(path, defaults)

    return reader


@pytest.fixture
def refusal(read, tmp_path):
    """The message without the folder."""

    def refused(text, defaults=None):
        with pytest.raises(TopologyError) as caught:
            read(text, defaults)
        return str(caught.value).replace(f"{tmp_path}/", "")

    return refused
