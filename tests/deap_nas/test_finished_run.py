import logging
import shutil

import pytest

from deap_nas.finished_run import FinishedRun, run_folders
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


@pytest.fixture
def copy(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "runs" / "onemax" / "seed-1")


def edited(run, old, new):
    file = run / "declaration.toml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_a_declaration_as_the_search_wrote_it_is_no_edited_one(copy, caplog):
    edited(copy, "[problem]", "# the bits\n[problem]")
    FinishedRun.open(copy)
    assert not caplog.records


def test_networks_that_were_trained_otherwise_than_is_declared_are_refused(copy):
    edited(copy, "length = 12", "length = 13")
    with pytest.raises(ValueError, match=r"problem.length was 12, now 13.* write it as it was"):
        FinishedRun.open(copy)


def test_another_edit_is_told_of(copy, caplog):
    edited(copy, "generations = 5", "generations = 6")
    with caplog.at_level(logging.WARNING):
        FinishedRun.open(copy)
    assert "edited after the search (algorithm.generations was 5, now 6)" in caplog.text


def test_every_command_tells_it_in_one_line(copy):
    edited(copy, "length = 12", "length = 13")
    for command in ("report", "retrain"):
        done = run_search(command, copy, cwd=copy)
        assert done.returncode == 2
        assert done.stderr.count("\n") == 1
        assert "it was edited after the search" in done.stderr


def test_a_folder_of_several_seeds_stands_for_their_run_folders(tmp_path):
    for seed in (1, 2, 10):
        (tmp_path / "x" / f"seed-{seed}").mkdir(parents=True)
        (tmp_path / "x" / f"seed-{seed}" / "archive.sqlite").touch()
    (tmp_path / "x" / "seed-3").mkdir()  # a search that never began
    one = tmp_path / "x" / "seed-2"
    assert [path.name for path in run_folders([tmp_path / "x"])] == ["seed-1", "seed-2", "seed-10"]
    assert run_folders([one]) == [one]
    assert run_folders([tmp_path / "nowhere"]) == [tmp_path / "nowhere"]
