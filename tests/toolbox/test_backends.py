"""Every backend answers every job once; a child takes with it only what it has in hand."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from problems import PROBLEMS
from problems.spaces.bit_string import BitString
from tests.conftest import Run, onemax
from toolbox.assemble import rehearse
from toolbox.backends import BACKENDS, Processes, Scoop, Serial, backend
from toolbox.backends.backend import GATHER_SECONDS, Arrivals
from toolbox.backends.child import resident_bytes
from toolbox.backends.station import rank_on_this_machine
from toolbox.declaration import declare
from toolbox.measure import Job, Measure, Outcome
from toolbox.operator_error import OperatorError

pytestmark = pytest.mark.slow  # searches in processes of their own

posix = pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL on Windows")


class Misbehaving:
    """A problem whose first bits say what goes wrong; importable by spawned children."""

    space = BitString(6)

    def evaluate(self, genome):
        match genome[:3]:
            case [1, 0, 0]:
                os._exit(7)
            case [1, 0, 1]:
                os.kill(os.getpid(), signal.SIGSEGV)
            case [1, 1, 0]:
                time.sleep(600)
            case [1, 1, 1]:
                sys.exit("I am done")
            case [0, 1, 0]:
                raise RuntimeError("no good")
            case [0, 1, 1]:
                return {"ones": float("nan")}
            case [0, 0, 1]:
                return {"ones": object()}
        return {"pid": os.getpid(), "ones": sum(genome)}


class CrashesAtFirst:
    """A problem whose process ends in its first `crashes` evaluations of each genome."""

    space = BitString(6)

    def __init__(self, folder, crashes):
        self.folder = Path(folder)
        self.crashes = crashes

    def evaluate(self, genome):
        name = "".join(map(str, genome))
        begun = len(list(self.folder.glob(f"{name}-*")))
        (self.folder / f"{name}-{begun}").touch()
        if begun < self.crashes:
            os.kill(os.getpid(), signal.SIGKILL)
        return {"ones": sum(genome)}


class InCompany:
    """A problem that evaluates several genomes in turns; [1, ...] ends the process of them all."""

    space = BitString(6)
    at_once = 3

    def evaluate_many(self, genomes):
        flying = []
        for number, genome in enumerate(genomes):
            if genome is not None:
                flying.append((number, genome))
            if genome is None or len(flying) == self.at_once:
                yield from self._landed(flying)
        yield from self._landed(flying)

    def _landed(self, flying):
        time.sleep(0.05)
        if any(genome[0] for _, genome in flying):
            os._exit(3)
        while flying:
            number, genome = flying.pop()
            yield number, {"ones": sum(genome), "pid": os.getpid()}


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


@posix
def test_bad_networks_fail_alone_among_good_ones():
    genomes = [[*bits, 0, 0, 0] for bits in GOOD_AND_BAD]
    backend = Processes(threads=1, workers=2, timeout_seconds=5, retries=0)
    found = outcomes(backend, Misbehaving(), genomes)
    assert [(outcome.status, outcome.message) for outcome in found] == [
        ("ok", ""),
        ("crash", "its process ended with code 7"),
        ("crash", "its process was killed by SIGSEGV"),
        ("timeout", "not finished after 5 s"),
        ("error", "SystemExit: I am done"),
        ("error", "RuntimeError: no good"),
        ("error", "ValueError: evaluate returned ones = nan, not a finite number"),
        ("error", found[7].message),
        ("ok", ""),
    ]
    assert "not a finite number" in found[7].message
    assert os.getpid() not in {o.measurement["pid"] for o in found if o.status == "ok"}


GOOD_AND_BAD = (
    *((0, 0, 0), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1)),
    *((0, 1, 0), (0, 1, 1), (0, 0, 1), (0, 0, 0)),
)


@posix
@pytest.mark.parametrize(
    ("crashes", "status", "attempts"), [(0, "ok", 1), (2, "ok", 3), (9, "crash", 3)]
)
def test_a_crash_is_tried_again_as_often_as_declared(tmp_path, crashes, status, attempts):
    backend = Processes(threads=1, workers=1, retries=2)
    (found,) = outcomes(backend, CrashesAtFirst(tmp_path, crashes), [[1] * 6])
    assert (found.status, found.attempts) == (status, attempts)
    assert len(list(tmp_path.iterdir())) == attempts
    if status == "crash":
        assert found.message == "its process was killed by SIGKILL"


def test_an_error_is_not_tried_again():
    (found,) = outcomes(Processes(threads=1, workers=1), Misbehaving(), [[0, 1, 0, 0, 0, 0]])
    assert (found.status, found.attempts) == ("error", 1)


def test_a_crash_in_company_is_charged_to_the_one_that_crashes_alone():
    genomes = [[0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1], [0, 0, 0, 1, 1, 1]]
    found = outcomes(Processes(threads=1, workers=1, retries=1), InCompany(), genomes)
    assert [outcome.status for outcome in found] == ["ok", "crash", "ok", "ok"]
    assert [outcome.attempts for outcome in found] == [1, 2, 1, 1]


def test_a_late_one_in_company_costs_the_others_only_a_new_beginning():
    found = outcomes(
        Processes(threads=1, workers=1, timeout_seconds=3),
        SleepsInCompany(),
        [[0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 1, 1]],
    )
    assert [outcome.status for outcome in found] == ["ok", "timeout", "ok"]


class SleepsInCompany(InCompany):
    """[1, ...] hangs, and with it those that were begun beside it."""

    def _landed(self, flying):
        if any(genome[0] for _, genome in flying):
            time.sleep(600)
        yield from super()._landed(flying)


def test_a_child_is_reused_between_maps():
    assert len(pids_of(Processes(threads=1, workers=1), maps=2, jobs=2)) == 1


def test_a_child_is_replaced_after_so_many_evaluations():
    assert len(pids_of(Processes(threads=1, workers=1, recycle_after=2), maps=1, jobs=5)) == 3


def test_a_child_that_holds_too_much_memory_is_replaced():
    assert resident_bytes() > 2**20
    assert len(pids_of(Processes(threads=1, workers=1, memory_limit_mib=1), maps=1, jobs=3)) == 3
    assert len(pids_of(Processes(threads=1, workers=1, memory_limit_mib=1e6), maps=1, jobs=3)) == 1


def pids_of(backend, maps, jobs):
    """The processes of so many maps of so many jobs."""
    measure = Measure(Misbehaving())
    try:
        return {
            outcome.measurement["pid"]
            for _ in range(maps)
            for outcome in backend(measure, [Job(number, [0] * 6) for number in range(jobs)])
        }
    finally:
        backend.close()


def test_an_abandoned_map_ends_its_children_and_the_next_one_works():
    backend = Processes(threads=1, workers=2, timeout_seconds=60)
    measure = Measure(Misbehaving())
    try:
        answers = backend(measure, [Job(0, [0] * 6), Job(1, [1, 1, 0, 0, 0, 0])])
        assert next(answers).number == 0
        answers.close()
        assert [outcome.status for outcome in backend(measure, [Job(0, [0] * 6)])] == ["ok"]
    finally:
        backend.close()


def test_workers_default_to_the_cores_divided_by_the_threads_or_to_the_gpus(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [Processes(threads=n).workers for n in (1, 2, 3, 16)] == [8, 4, 2, 1]
    assert Processes(threads=1, workers=3).workers == 3
    assert Processes(threads=1, gpus=4).workers == 4


def test_each_worker_learns_its_rank():
    backend = Processes(threads=1, workers=2)
    found = outcomes(backend, KnowsItsRank(), [[0] * 6] * 2)
    assert sorted(outcome.measurement["rank"] for outcome in found) == [0, 1]


class KnowsItsRank:
    """A problem that would take the GPU of its worker's rank."""

    space = BitString(6)

    def __init__(self, rank=None):
        self.rank = rank

    def on_worker(self, rank):
        return KnowsItsRank(rank)

    def evaluate(self, genome):
        time.sleep(0.2)
        return {"rank": self.rank}


def test_too_much_memory_is_an_error_of_that_network_alone():
    found = outcomes(Processes(threads=1, workers=1), Hungry(), [[1] * 6, [0] * 6])
    assert [outcome.status for outcome in found] == ["error", "ok"]
    assert found[0].message.startswith("MemoryError")


class Hungry:
    """[1, ...] asks for more memory than there is."""

    space = BitString(6)

    def evaluate(self, genome):
        return {"bytes": len(bytearray(genome[0] << 60))}


def test_workers_on_one_machine_have_different_ranks_and_leave_them_at_their_end():
    key = os.urandom(32)
    ranks = [rank_on_this_machine(key) for _ in range(3)]
    assert [rank for rank, _ in ranks] == [0, 1, 2]
    ranks[1][1].release()
    again, lock = rank_on_this_machine(key)
    assert again == 1
    for held in (ranks[0][1], ranks[2][1], lock):
        held.release()


def test_a_function_that_raises_is_an_error():
    (found,) = outcomes_of(raising)
    assert (found.status, found.message) == ("error", "KeyError: 'lost'")


def test_what_is_no_outcome_is_an_error():
    (found,) = outcomes_of(unlike)
    assert (found.status, found.message) == ("error", "[0] is no outcome")


def test_an_outcome_that_cannot_be_sent_back_is_an_error():
    (found,) = outcomes_of(unpicklable)
    assert found.status == "error"
    assert "its outcome cannot be sent back" in found.message


def test_a_function_that_cannot_be_sent_is_refused_in_one_line():
    with pytest.raises(ValueError, match="the problem cannot be sent to another process"):
        outcomes_of(lambda job: job)


def test_a_function_that_cannot_be_read_there_is_an_error():
    (found,) = outcomes_of(Unreadable())
    assert (found.status, found.message) == (
        "error",
        "ModuleNotFoundError: No module named 'nowhere'",
    )


class Unreadable:
    def __reduce__(self):
        return __import__, ("nowhere",)


def outcomes_of(function):
    backend = Processes(threads=1, workers=1)
    try:
        return list(backend(function, [Job(0, [])]))
    finally:
        backend.close()


def raising(job):
    raise KeyError("lost")


def unlike(job):
    return [job.number]


def unpicklable(job):
    return Outcome(job.number, "ok", {"no": lambda: job})


def test_scoop_is_refused_without_its_launcher():
    with pytest.raises(ValueError, match="not started by SCOOP; start it with"):
        Scoop()


@pytest.fixture
def own_maps(tmp_path, monkeypatch):
    (tmp_path / "own_maps.py").write_text(
        "from multiprocessing.pool import ThreadPool\n"
        "told = []\n"
        "def factory(): return map\n"
        "def plain(function, jobs):\n"
        "    return map(function, jobs)\n"
        "def reversed_map(function, jobs, threads, gpus, at_a_time: int = 2):\n"
        "    told.append((threads, gpus, at_a_time))\n"
        "    return [function(job) for job in reversed(jobs)]\n"
        "pool = ThreadPool(3)\n"
        "unordered = pool.imap_unordered\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_maps", raising=False)
    yield lambda use: onemax() | {"toolbox": {"select": "tournament", "map": use}}
    if "own_maps" in sys.modules:
        sys.modules["own_maps"].pool.terminate()
        sys.modules["own_maps"].pool.join()


@pytest.mark.parametrize(
    "use",
    [
        "own_maps:plain",
        {"use": "own_maps:reversed_map", "at_a_time": 5},
        "own_maps:unordered",
        {"use": "own_maps:unordered", "chunksize": 4},
    ],
    ids=str,
)
def test_a_plain_function_is_a_map(own_maps, use):
    run = Run(own_maps(use))
    assert run.population == Run(onemax()).population
    assert len(run.archive) == len(Run(onemax()).archive)
    if "at_a_time" in use:
        assert set(sys.modules["own_maps"].told) == {(1, 0, 5)}


@pytest.mark.parametrize(
    ("use", "message"),
    [
        ({"use": "own_maps:plain", "workers": 2}, r"toolbox\.map\.workers: unknown key"),
        ({"use": "own_maps:reversed_map", "at_a_tim": 2}, r"toolbox\.map\.at_a_tim: .*'at_a_time'"),
        ("builtins:max", r"toolbox\.map\.use = 'builtins:max': its parameters cannot be read"),
        ("fractions:Fraction", r"toolbox\.map = .*: a map is called with"),
        ("own_maps:factory", r"toolbox\.map = 'own_maps:factory': a map is called with"),
    ],
    ids=str,
)
def test_what_is_no_map_is_refused_in_one_line(own_maps, use, message):
    with pytest.raises(ValueError, match=message) as caught:
        Run(own_maps(use))
    assert "\n" not in str(caught.value)


def test_an_asynchronous_algorithm_refuses_a_plain_function_in_its_usual_line(own_maps):
    tables = own_maps("own_maps:plain")
    tables["algorithm"] = {"use": "steady_state", "population": 6, "generations": 2}
    declaration = declare(tables, PROBLEMS, "test")
    with pytest.raises(OperatorError, match=r"toolbox\.map: this algorithm breeds a child as soon"):
        rehearse(declaration, declaration.problem.build())


def test_every_backend_is_on_the_shelf():
    assert set(BACKENDS) == {"processes", "ray", "scoop", "serial"}


def test_workers_that_share_a_gpu_are_told_of(caplog):
    for workers, gpus in ((1, 1), (2, 2), (2, 0), (None, 2)):
        Processes(threads=1, gpus=gpus, workers=workers).close()
    assert caplog.text == ""
    Processes(threads=1, gpus=1, workers=2).close()
    assert "toolbox.map.workers = 2: they share 1 GPU, so times are of a shared one" in caplog.text


def test_outcomes_wait_for_others_only_as_long_as_a_commit_is_not_long_ago(monkeypatch):
    now = 100.0
    monkeypatch.setattr(backend.time, "monotonic", lambda: now)
    arrivals = Arrivals()
    first, second, third = (Outcome(number, "ok") for number in range(3))
    assert arrivals.patience == float("inf")
    assert arrivals.take(last=True) == []
    arrivals.add([first])
    assert arrivals.take(last=False) == [first]
    arrivals.add([second])
    assert arrivals.patience == pytest.approx(GATHER_SECONDS)
    assert arrivals.take(last=False) == []
    arrivals.add([third])
    now += 1.1 * GATHER_SECONDS
    assert arrivals.patience == 0
    assert arrivals.take(last=False) == [second, third]
    arrivals.add([first])
    assert arrivals.take(last=True) == [first]


def test_processes_answer_together_for_each_job_once():
    processes = Processes(threads=1, workers=2)
    try:
        jobs = [Job(number, [0, 0, 0, 0, 0, number % 2]) for number in range(12)]
        together = list(processes.together(Measure(Misbehaving()), jobs))
    finally:
        processes.close()
    assert sorted(one.number for outcomes in together for one in outcomes) == list(range(12))
    assert all(together)
