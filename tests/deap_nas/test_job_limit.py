"""A search stops by itself before the job that it runs in ends."""

import math
import signal
import threading
import time

import pytest

from deap_nas import job_limit
from deap_nas.job_limit import MARGIN_SECONDS, VARIABLE, seconds_left, stopping_before

SLOW = """
import time
from problems.spaces.bit_string import BitString

class Slow:
    space = BitString(16)
    measures = ("ones",)

    def evaluate(self, genome):
        time.sleep(0.02)
        return {"ones": sum(genome)}
"""
SEARCH = """
objectives = ["ones"]
problem = "slow:Slow"
toolbox = { map = "serial" }
algorithm = { use = "genetic_algorithm", population = 10, generations = GENERATIONS }
"""


@pytest.mark.parametrize(
    ("told", "left"),
    [
        (None, math.inf),
        ("1000900", 900 - MARGIN_SECONDS),
        ("1000100", 90),  # a tenth of what is left is less than the margin
        ("1000100.5", 90.45),
        ("999999", math.inf),
    ],
)
def test_a_search_stops_a_minute_or_a_tenth_before_the_end(told, left):
    assert seconds_left(told, 1_000_000.0) == pytest.approx(left)


@pytest.mark.parametrize("told", ["soon", "", "nan"])
def test_an_end_that_is_no_number_is_refused_in_one_line(told, monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, told)
    status, _, error = command("plan", "experiments/quickstart.toml")
    assert status == 2
    assert error.startswith(f"error: {VARIABLE} = {told!r}: the end of this job in seconds since")
    assert error.count("\n") == 1


def test_nothing_is_stopped_when_it_was_done_in_time(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(time.time() + 0.2))
    called = threading.Event()
    with stopping_before(called.set):
        pass
    assert not called.wait(0.4)


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="SLURM is not for Windows")
def test_a_search_whose_job_ends_says_so_and_goes_on_in_the_next(monkeypatch, tmp_path, command):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(job_limit, "MARGIN_SHARE", 0.0)
    (tmp_path / "slow.py").write_text(SLOW)
    (tmp_path / "long.toml").write_text(SEARCH.replace("GENERATIONS", "4000"))
    monkeypatch.setenv(VARIABLE, str(time.time() + 2))
    status, out, error = command("long.toml")
    assert (status, error) == (
        job_limit.STATUS,
        "its job ends: everything finished is in the archive; the same command goes on\n",
    )
    assert f"{VARIABLE}: this job ends soon after" in out
    assert "with status 75" in out
    monkeypatch.delenv(VARIABLE)
    (tmp_path / "long.toml").write_text(SEARCH.replace("GENERATIONS", "1"))
    status, out, error = command("long.toml")
    assert status == 0, error
    assert "trained 0, reused" in out
