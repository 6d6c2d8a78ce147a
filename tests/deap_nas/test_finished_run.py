import shutil

import pytest

from deap_nas.finished_run import FinishedRun
from problems.datasets import Digits
from tests.conftest import run_search
from tests.test_run_search import DIGITS, ONEMAX

pytestmark = pytest.mark.slow  # searches in processes of their own


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    (folder / "onemax.toml").write_text(ONEMAX)
    assert run_search("onemax.toml", cwd=folder).returncode == 0
    return folder / "runs" / "onemax" / "seed-1"


def test_a_run_is_read_as_the_search_left_it(folder):
    run = FinishedRun.open(folder)
    assert run.declaration.name == "onemax"
    assert [int(row["generation"]) for row in run.generations] == list(range(6))
    best = max(run.archive, key=run.judge.fitness)
    assert run.judge.fitness(best)[0] == best.measurement["ones"]
    assert run.problem.space.decode(best.genome) == best.architecture


def test_a_folder_that_is_no_run_is_refused_with_the_nearest_one(folder, tmp_path):
    with pytest.raises(ValueError, match=r"there is no archive\.sqlite in it; .*did you mean"):
        FinishedRun.open(folder.parent)
    with pytest.raises(ValueError, match=r"there is no archive\.sqlite in it"):
        FinishedRun.open(tmp_path)


def test_an_archive_that_cannot_be_read_is_refused_and_left_alone(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    archive = tmp_path / "run" / "archive.sqlite"
    archive.write_text("no archive")
    with pytest.raises(ValueError, match="cannot be used as an archive"):
        FinishedRun.open(tmp_path / "run")
    assert archive.read_text() == "no archive"


def test_a_search_of_networks_is_read_with_its_space_and_data_set(tmp_path):
    (tmp_path / "digits.toml").write_text(DIGITS)
    assert run_search("digits.toml", "algorithm.generations=0", cwd=tmp_path).returncode == 0
    run = FinishedRun.open(tmp_path / "runs" / "digits" / "seed-3")
    assert run.problem.dataset == Digits(size=12, limit=200, validation=100)
    assert run.problem.space.normal == (1, 1)
    again = run.redeclared(["problem.training.epochs=7"]).problem.build()
    assert (again.training.epochs, again.space) == (7, run.problem.space)
