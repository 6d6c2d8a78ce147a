"""What is printed may be lost; the search may not."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from deap_nas.output import as_argument
from tests.conftest import REPOSITORY
from tests.test_run_search import ONEMAX

pytestmark = pytest.mark.slow  # each begins a process
WITHOUT_OUTPUT = """
import os, runpy, sys
sys.argv = ["run_search.py", "ones.toml"]
sys.stdout = sys.stderr = None
runpy.run_path({script!r}, run_name="__main__")
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "ones.toml").write_text(ONEMAX)
    return tmp_path


def search(folder, *arguments, program=(), **options):
    command = [sys.executable, *(program or [REPOSITORY / "run_search.py", "ones.toml"])]
    return subprocess.run(
        [*command, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True, **options
    )


def found(folder):
    return (folder / "runs" / "ones" / "seed-1" / "ranking.csv").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_search_whose_output_meets_a_full_disk_is_finished(folder):
    with open("/dev/full", "w") as full:
        done = search(folder, stdout=full)
    assert done.returncode == 0
    assert done.stderr.splitlines() == [
        "nobody can read standard output any more ([Errno 28] No space left on device): going on "
        "without it"
    ]
    assert found(folder)


def unread(folder, *arguments):
    """A search behind whose pipe nobody reads: its status, and what it wrote to standard error."""
    words = [sys.executable, REPOSITORY / "run_search.py", "ones.toml", *arguments]
    program = f"({shlex.join(map(str, words))}; echo $? > status)"
    reader = shlex.join([sys.executable, "-c", "pass"])
    done = subprocess.run(
        f"{program} | {reader}", shell=True, cwd=folder, stderr=subprocess.PIPE, text=True
    )
    assert "Traceback" not in done.stderr
    return int((folder / "status").read_text()), done.stderr


def test_a_search_whose_reader_is_gone_is_finished(folder):
    status, said = unread(folder)
    assert status == 0, said
    assert said.count("nobody can read standard output any more") == 1
    assert found(folder)


def test_a_search_whose_events_nobody_reads_stops(folder):
    status, said = unread(folder, "--json")
    assert status == 1
    assert "everything finished is in the archive" in said


def test_a_service_has_no_output_at_all(folder):
    program = WITHOUT_OUTPUT.format(script=str(REPOSITORY / "run_search.py"))
    done = search(folder, program=["-c", program])
    assert done.returncode == 0
    assert found(folder)


def test_letters_that_the_output_has_not_are_written_in_its_own(folder):
    options = {"env": {"PYTHONIOENCODING": "ascii", "PYTHONPATH": str(REPOSITORY)}}
    done = search(folder, "--runs", "Läufe", stdout=subprocess.PIPE, **options)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "now: run_search.py report 'L\\xe4ufe/ones/seed-1'" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="its quotes are others")
def test_a_path_that_is_told_can_be_typed():
    assert as_argument(Path("my runs/it's")) == "'my runs/it'\"'\"'s'"
    assert as_argument(Path("runs/a-1.b@c")) == "runs/a-1.b@c"
