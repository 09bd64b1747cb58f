"""The command line: parses, calls the Python interface and prints.

Data go to standard output, progress and remarks to standard error.  Exit codes: 0 done,
1 internal error, 2 wrong usage or input, 3 a sweep with failed runs, 130 Ctrl-C, 143
SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import click

from simulator.cli.inspecting import init, list_, schema, validate
from simulator.cli.networks import collectives, flows, topology
from simulator.cli.output import remark
from simulator.cli.results import compare, plot
from simulator.cli.running import run, sweep
from simulator.errors import InvalidInput

THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="paceline")
def cli() -> None:
    """Which distributed SGD reaches the target accuracy first, on this cluster?

    Simulates clusters in which every worker takes real SGD steps, so that time and
    convergence come out of one run.  Begin with: paceline run quickstart
    """


COMMANDS = (
    run,
    sweep,
    compare,
    plot,
    validate,
    init,
    list_,
    schema,
    collectives,
    flows,
    topology,
)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit."""
    for name in THREADS:  # before numpy is imported
        os.environ.setdefault(name, "1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(call(arguments))


def call(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    from analysis.errors import ResultError

    try:
        code: Any = cli.main(arguments, prog_name="paceline", standalone_mode=False)
        sys.stdout.flush()
        return int(code or 0)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return 130
    except (InvalidInput, ResultError) as error:
        remark(str(error))
        return 2
    except SystemExit as end:  # click ends so when the reader of our output has gone
        gone = type(sys.stdout).__name__ == "PacifyFlushWrapper"
        return 0 if gone else int(end.code or 0)
    except BrokenPipeError:  # the reader of our output has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        click.echo(
            f"internal error: {error!r}\nThis is a bug in paceline; details are in {_log(error)}",
            err=True,
        )
        return 1


def _log(error: Exception) -> str:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile("w", prefix="paceline-", suffix=".log", delete=False) as log:
        log.write("".join(traceback.format_exception(error)))
    return log.name
