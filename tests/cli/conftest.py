"""The command line in an empty folder."""

import pytest

from simulator.cli import call


@pytest.fixture
def paceline(capsys, tmp_path, tmp_path_factory, monkeypatch):
    """Run a command in an empty folder; returns (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("logs")))

    def command(*arguments):
        code = call([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return command
