"""Evaluations on workers that do not see the run folder."""

import logging
import pickle
from dataclasses import replace
from pathlib import Path

import pytest

from problems.spaces.bit_string import BitString
from toolbox.luggage import MARK, Luggage
from toolbox.measure import Job, Measure
from toolbox.operator_error import OperatorError
from toolbox.problem import adapted


class Elsewhere:
    """A map whose worker is a copy of the function that does not see the run folder."""

    def __init__(self, carry_mib=16.0, sees=False):
        self.carry_mib, self.sees = carry_mib, sees
        self.jobs, self.outcomes = [], []

    def __call__(self, function, jobs):
        for job in jobs:
            away = pickle.loads(pickle.dumps(function))
            if not self.sees:
                away.folder = Path("/nowhere")
            self.jobs.append(job)
            self.outcomes.append(away(pickle.loads(pickle.dumps(job))))
            yield self.outcomes[-1]


class Counting:
    """Counts in a file under a key how often it was evaluated, and adds what its parents count."""

    inherits = True

    def __init__(self):
        self.space, self.folder = BitString(6), None

    def in_folder(self, folder):
        other = Counting()
        other.folder = folder
        return other

    def kept_files(self, options):
        names = [options["key"], *options["parents"]]
        return [self.folder / f"{name}.txt" for name in names]

    def evaluate(self, genome, key="", parents=()):
        mine, *theirs = self.kept_files({"key": key, "parents": parents})
        found = [int(path.read_text()) for path in theirs if path.exists()]
        mine.write_text(str(1 + sum(found)))
        return {"ones": sum(genome), "generation": 1 + sum(found), "found": len(found)}


class Scaling:
    """Multiplies by a number in a file that all evaluations read."""

    def __init__(self, folder=None):
        self.space, self.folder = BitString(6), folder

    def in_folder(self, folder):
        return Scaling(folder)

    def shared_files(self):
        return [self.folder / "shared" / "scale.txt"]

    def evaluate(self, genome):
        (file,) = self.shared_files()
        return {"ones": sum(genome) * int(file.read_text())}


@pytest.fixture
def scaling(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "scale.txt").write_text("7")
    return Measure(Scaling(tmp_path))


@pytest.fixture
def luggage(tmp_path):
    return Luggage(Measure(Counting().in_folder(tmp_path)), tmp_path, 1.0)


def sent(luggage, key, *parents, backend=None):
    """The measurement of a job that is sent away, and how many files went out and came back."""
    backend = backend or Elsewhere()
    (job,) = luggage.packed([Job(0, [0] * 6, {"key": key, "parents": parents})])
    (outcome,) = backend(luggage, [job])
    measured = luggage.unpacked(outcome)
    assert (measured.files, measured.left_behind) == ((), 0)
    return measured.measurement, [sum(map(bool, one.files)) for one in (job, outcome)]


def test_what_an_evaluation_leaves_comes_back_and_goes_to_those_who_need_it(luggage, tmp_path):
    assert sent(luggage, "a")[1] == [0, 1]
    assert (tmp_path / "a.txt").read_text() == "1"
    found, files = sent(luggage, "b", "a")
    assert (found["generation"], files) == (2, [1, 1])
    found, files = sent(luggage, "c", "a", "b", "never trained")
    assert (found["generation"], found["found"], files) == (4, 2, [2, 1])
    assert (tmp_path / "c.txt").read_text() == "4"


def test_nothing_travels_where_the_run_folder_is_seen(luggage, tmp_path):
    here = Elsewhere(sees=True)
    assert sent(luggage, "a", backend=here)[1] == [0, 0]
    found, files = sent(luggage, "b", "a", backend=here)
    assert (found["generation"], files) == (2, [0, 0])


def test_a_run_folder_of_the_same_name_on_another_disk_is_not_it(luggage, tmp_path):
    (tmp_path / MARK).write_text("of another machine")
    assert sent(luggage, "a", backend=Elsewhere(sees=True))[1] == [0, 1]


def test_a_search_that_goes_on_knows_that_files_travel(luggage, tmp_path):
    sent(luggage, "a")
    again = Luggage(Measure(Counting().in_folder(tmp_path)), tmp_path, 1.0)
    found, files = sent(again, "b", "a")
    assert (found["generation"], files) == (2, [1, 1])


def test_what_is_too_large_stays_and_is_told_once(tmp_path, caplog):
    small = Luggage(Measure(Counting().in_folder(tmp_path)), tmp_path, 0.5 / 2**20)
    with caplog.at_level(logging.INFO):
        assert sent(small, "a")[1] == [0, 0]
        found, files = sent(small, "b", "a")
    assert (found["found"], files) == (0, [0, 0])
    told = [one.getMessage() for one in caplog.records if "carry_mib" in one.getMessage()]
    assert len(told) == 1
    assert "without it trainings begin anew" in told[0]


def test_a_worker_leaves_nothing_on_its_disk(luggage, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    sent(luggage, "a")
    sent(luggage, "b", "a")
    assert not list((tmp_path / "tmp").iterdir())


def test_an_outcome_without_a_job_of_its_own_writes_nothing(luggage, tmp_path):
    """As of a worker that answers twice: the second is refused by its number."""
    (job,) = luggage.packed([Job(0, [0] * 6, {"key": "a", "parents": ()})])
    (outcome,) = Elsewhere()(luggage, [job])
    luggage.unpacked(outcome)
    (tmp_path / "a.txt").write_text("kept")
    luggage.unpacked(replace(outcome, files=(b"other",)))
    assert (tmp_path / "a.txt").read_text() == "kept"


def test_what_all_evaluations_read_goes_with_the_problem(scaling, tmp_path):
    luggage = Luggage(scaling, tmp_path, 1.0)
    backend = Elsewhere()
    outcomes = list(backend(luggage, luggage.packed([Job(n, [n] * 6) for n in (0, 1)])))
    assert [one.measurement for one in outcomes] == [{"ones": 0}, {"ones": 42}]
    assert not any(one.files for one in (*backend.jobs, *outcomes))


def test_a_worker_without_what_all_evaluations_read_says_so(scaling, tmp_path):
    luggage = Luggage(scaling, tmp_path, 0.5 / 2**20)
    (outcome,) = Elsewhere()(luggage, luggage.packed([Job(4, [1] * 6)]))
    assert (outcome.number, outcome.status) == (4, "error")
    assert "carry_mib = 4.76837e-07 lets no more travel" in outcome.message
    (seen,) = Elsewhere(sees=True)(luggage, luggage.packed([Job(4, [1] * 6)]))
    assert seen.measurement == {"ones": 42}


def test_a_shared_file_that_is_not_there_is_one_line(scaling, tmp_path):
    (tmp_path / "shared" / "scale.txt").unlink()
    with pytest.raises(OperatorError, match=r"problem.shared_files: .*scale.txt: there is no such"):
        pickle.dumps(Luggage(scaling, tmp_path, 1.0))


@pytest.mark.parametrize("wrong", ["weights.pt", None, [3]])
def test_files_that_are_no_paths_are_one_line(wrong):
    class Wrong(Scaling):
        def shared_files(self):
            return wrong

    with pytest.raises(
        OperatorError, match=r"problem.shared_files: it returned .* a list of paths"
    ):
        adapted(Wrong()).shared_files()


def test_names_of_files_are_paths():
    class Named(Scaling):
        def kept_files(self, options):
            return [f"runs/{options['key']}.txt"]

    assert adapted(Named()).kept_files({"key": "a"}) == [Path("runs/a.txt")]
