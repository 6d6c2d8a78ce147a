"""What a search says of its own length in its first lines."""

import time

import pytest

from deap_nas.opening import declared, prepared
from deap_nas.planning import foreseen
from problems.image_classification import ImageClassification
from tests.test_run_search import DIGITS, ONEMAX
from toolbox.archive import Archive
from toolbox.backends.serial import Serial
from toolbox.problem import own


def opened(tmp_path, text, *overrides):
    (tmp_path / "try.toml").write_text(text)
    declaration = declared(tmp_path / "try.toml", ["toolbox.map=serial", *overrides])
    problem = prepared(declaration)
    return declaration, problem, Archive(declaration.identity(own(problem))), Serial()


@pytest.fixture
def _slow_trials(monkeypatch):
    """Trials that tell of evaluations of a minute each."""

    def trial(self, job):
        yield False
        return {
            "expected_seconds": 60.0,
            "least_seconds": 60.0,
            "epoch_seconds": 0.1,
            "trial_seconds": 0.0,
        }

    monkeypatch.setattr(ImageClassification, "_trial", trial)


@pytest.mark.usefixtures("_slow_trials")
def test_a_long_search_is_foreseen_by_trials_of_its_networks(tmp_path):
    search = opened(tmp_path, DIGITS, "problem.training.epochs=200")
    course, source = foreseen(*search)
    assert course.seconds == pytest.approx(60 * course.evaluations, rel=0.01)
    assert course.evaluations <= 12
    assert source == "trials of 12 networks"
    assert len(search[2]) == 0


@pytest.mark.usefixtures("_slow_trials")
def test_trials_take_no_more_than_a_small_share_of_the_epochs(tmp_path):
    assert foreseen(*opened(tmp_path, DIGITS, "problem.training.epochs=33")) is None
    _, source = foreseen(*opened(tmp_path, DIGITS, "problem.training.epochs=34"))
    assert source == "trials of 2 networks"


def test_what_has_no_trials_is_not_evaluated_for_it(tmp_path):
    assert foreseen(*opened(tmp_path, ONEMAX)) is None


def test_a_search_says_how_long_it_will_take_and_shows_it(tmp_path, monkeypatch, command):
    (tmp_path / "digits.toml").write_text(DIGITS)
    monkeypatch.chdir(tmp_path)
    status, _, err = command("digits.toml", "toolbox.map=serial")
    assert status == 0, err
    # The archive knows how long a network takes: an hour, it is made to say.
    from toolbox.archive import Archive as Opened

    path = tmp_path / "runs" / "digits" / "seed-3" / "archive.sqlite"
    archive = Opened(Opened.read(path).problem, path)
    archive.note("generation_seconds", [3600.0 * 4, 3600.0 * 8, 3600.0 * 12])
    archive.close()
    began = time.monotonic()
    status, out, err = command("digits.toml", "toolbox.map=serial", "algorithm.generations=3")
    assert status == 0, err
    assert "networks of the archive" in out
    assert "INFO expected: " in out
    assert " h" in out.split("INFO expected: ")[1].split("\n")[0]
    assert time.monotonic() - began < 3600
