"""Every backend answers every job once; `processes` survives what a network does to it."""

import os
import signal
import sys
import time

import pytest

from problems.spaces.bit_string import BitString
from toolbox.backends import BACKENDS, Processes, Scoop, Serial
from toolbox.measure import Job, Measure


class Misbehaving:
    """A problem whose first two bits say what goes wrong; importable by spawned children."""

    space = BitString(6)

    def evaluate(self, genome):
        match genome[:2]:
            case [1, 0]:
                os._exit(7)
            case [1, 1]:
                time.sleep(600)
            case [0, 1]:
                raise RuntimeError("no good")
        return {"pid": os.getpid(), "ones": sum(genome)}


class Killed:
    """A problem whose process is killed from outside, as by a machine without memory."""

    space = BitString(6)

    def evaluate(self, genome):
        os.kill(os.getpid(), signal.SIGKILL)


def outcomes(backend, problem, genomes):
    try:
        found = list(backend(Measure(problem), [Job(n, g) for n, g in enumerate(genomes)]))
    finally:
        backend.close()
    assert sorted(outcome.number for outcome in found) == list(range(len(genomes)))
    return sorted(found, key=lambda outcome: outcome.number)


def test_the_serial_backend_works_in_this_process():
    found = outcomes(Serial(), Misbehaving(), [[0, 0, 0, 0, 1, 1], [0, 1, 0, 0, 0, 0]])
    assert found[0].measurement == {"pid": os.getpid(), "ones": 2}
    assert (found[1].status, found[1].message) == ("error", "RuntimeError: no good")


def test_bad_networks_fail_alone_among_good_ones():
    genomes = [
        *([0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0], [0, 0, 1, 1, 1, 1]),
        *([1, 1, 0, 0, 0, 0], [0, 1, 0, 0, 0, 0], [0, 0, 0, 0, 0, 1]),
    ]
    found = outcomes(Processes(threads=1, workers=2, timeout_seconds=5), Misbehaving(), genomes)
    statuses = [outcome.status for outcome in found]
    assert statuses == ["ok", "crash", "ok", "timeout", "error", "ok"]
    assert found[1].message == "the process of the evaluation ended with code 7"
    assert found[3].message == "not finished after 5 s"
    assert os.getpid() not in {o.measurement["pid"] for o in found if o.status == "ok"}


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")
def test_a_killed_child_is_a_crash():
    (found,) = outcomes(Processes(threads=1, workers=1), Killed(), [[0] * 6])
    assert (found.status, found.message) == (
        "crash",
        "the process of the evaluation ended with code -9",
    )


def test_a_child_is_reused_between_maps():
    backend = Processes(threads=1, workers=1)
    measure = Measure(Misbehaving())
    try:
        pids = {
            outcome.measurement["pid"]
            for _ in range(2)
            for outcome in backend(measure, [Job(0, [0] * 6), Job(1, [0] * 6)])
        }
    finally:
        backend.close()
    assert len(pids) == 1


def test_workers_default_to_the_cores_divided_by_the_threads(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [Processes(threads=n).workers for n in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert Processes(threads=1, workers=3).workers == 3


def test_a_function_that_raises_is_an_error():
    (found,) = outcomes_of(raising)
    assert (found.status, found.message) == ("error", "KeyError: 'lost'")


def test_an_answer_that_cannot_be_brought_back_costs_one_child():
    (found,) = outcomes_of(unpicklable)
    assert found.status == "crash"


def outcomes_of(function):
    backend = Processes(threads=1, workers=1)
    try:
        return list(backend(function, [Job(0, [])]))
    finally:
        backend.close()


def raising(job):
    raise KeyError("lost")


def unpicklable(job):
    return lambda: job


def test_scoop_is_refused_without_its_launcher():
    with pytest.raises(ValueError, match="not started by SCOOP; start it with"):
        Scoop()


def test_every_backend_is_on_the_shelf():
    assert set(BACKENDS) == {"processes", "scoop", "serial"}
