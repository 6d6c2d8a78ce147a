"""A small finished search of networks, and the command line in this process."""

import logging
import signal
import sys

import pytest

import run_search as command_line
from tests.conftest import run_search
from tests.test_run_search import DIGITS


@pytest.fixture(scope="session")
def searched(tmp_path_factory):
    """The run folder of a search with two objectives; nobody may write in it."""
    folder = tmp_path_factory.mktemp("searched")
    (folder / "digits.toml").write_text(DIGITS)
    done = run_search("digits.toml", "toolbox.map=serial", cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "runs" / "digits" / "seed-3"


@pytest.fixture
def command(capsys):
    """Runs a command line here; its exit status and what it wrote to stdout and stderr."""
    signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    root = logging.getLogger()
    path, handlers, level = list(sys.path), list(root.handlers), root.level

    def run(*arguments):
        try:
            status = command_line.main([str(argument) for argument in arguments])
        except SystemExit as exited:
            status = exited.code
        return status, *capsys.readouterr()

    yield run
    sys.path[:], root.handlers[:] = path, handlers
    root.setLevel(level)
    for number, handler in signals.items():
        signal.signal(number, handler)
