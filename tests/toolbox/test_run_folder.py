import csv
import errno
import json
import os
import sys
import tomllib

import pytest

from problems import PROBLEMS
from tests.conftest import Run, lotz, onemax
from toolbox import whole_file
from toolbox.declaration import declare
from toolbox.run_folder import RunFolder


def table(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def written(tables, tmp_path):
    """A finished search in a run folder."""
    run = Run(tables)
    with RunFolder(tmp_path, run.declaration) as folder:
        folder.write_declaration()
        for generation in run.generations:
            folder.write_generation(generation, {})
        folder.write_population(run.population, run.problem.space)
        folder.write_results(run.toolbox.evaluator.judge, run.archive.networks())
    return run, folder.path


def test_a_search_with_several_objectives_leaves_its_files(tmp_path):
    run, folder = written(lotz(generations=5), tmp_path)
    assert folder == tmp_path / "test" / "seed-1"
    assert {path.name for path in folder.iterdir()} - {".lock"} == {
        *("declaration.toml", "generations.csv", "population.csv", "front.csv")
    }
    generations = table(folder / "generations.csv")
    assert list(generations[0]) == [
        *("generation", "evaluated", "trained", "reused", "infeasible", "failed"),
        *("best_leading_ones", "best_trailing_zeros"),
        *("median_leading_ones", "median_trailing_zeros", "hypervolume", "seconds"),
    ]
    assert [int(row["generation"]) for row in generations] == [0, 1, 2, 3, 4, 5]
    population = table(folder / "population.csv")
    assert [json.loads(row["genome"]) for row in population] == run.population
    assert [row["architecture"] for row in population] == [
        "".join(map(str, individual)) for individual in run.population
    ]
    front = table(folder / "front.csv")
    for row in front:
        ones, zeros = float(row["leading_ones"]), float(row["trailing_zeros"])
        assert not any(
            float(other["leading_ones"]) >= ones
            and float(other["trailing_zeros"]) >= zeros
            and other["architecture"] != row["architecture"]
            and (float(other["leading_ones"]), float(other["trailing_zeros"])) != (ones, zeros)
            for other in front
        )
    assert [float(row["leading_ones"]) for row in front] == sorted(
        (float(row["leading_ones"]) for row in front), reverse=True
    )


def test_a_search_with_one_objective_leaves_a_ranking(tmp_path):
    run, folder = written(onemax(), tmp_path)
    ranking = table(folder / "ranking.csv")
    assert len(ranking) == len(run.archive)
    ones = [float(row["ones"]) for row in ranking]
    assert ones == sorted(ones, reverse=True)
    assert not (folder / "front.csv").exists()


def test_the_resolved_declaration_gives_the_same_search(tmp_path):
    run, folder = written(lotz(generations=3), tmp_path)
    tables = tomllib.loads((folder / "declaration.toml").read_text(encoding="utf-8"))
    assert Run(tables).population == run.population


def test_two_searches_in_one_folder_at_once_are_refused(tmp_path):
    declaration = declare(onemax(), PROBLEMS, "test")
    with (
        RunFolder(tmp_path, declaration),
        pytest.raises(ValueError, match="another search is running in this folder"),
        RunFolder(tmp_path, declaration),
    ):
        pass
    with RunFolder(tmp_path, declaration):
        pass  # the first one has left


@pytest.mark.skipif(sys.platform == "win32", reason="every disk has locks there")
@pytest.mark.parametrize("kind", ["flock", "lockf"])
def test_a_disk_without_locks_is_refused_before_anything(tmp_path, monkeypatch, kind):
    def failing(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(f"fcntl.{kind}", failing)
    folder = RunFolder(tmp_path, declare(onemax(), PROBLEMS, "test"))
    with pytest.raises(ValueError, match=r"cannot be locked \(No locks available\)"), folder:
        pass
    assert not list(tmp_path.iterdir())


def refused(folder, before=lambda path: None):
    """A search that is refused in its folder, after something else."""
    with folder, folder.removed_unless_declared():
        before(folder.path)
        raise ValueError("refused")


def test_a_folder_made_for_a_refused_search_goes_again(tmp_path):
    folder = RunFolder(tmp_path / "runs", declare(onemax(), PROBLEMS, "test"))
    with pytest.raises(ValueError, match="refused"):
        refused(folder, lambda path: (path / "archive.sqlite").write_bytes(b""))
    assert not list(tmp_path.iterdir())


def test_a_folder_that_was_there_or_holds_a_declaration_stays(tmp_path):
    there = RunFolder(tmp_path, declare(onemax() | {"seed": 1}, PROBLEMS, "test"))
    there.path.mkdir(parents=True)
    with pytest.raises(ValueError, match="refused"):
        refused(there)
    begun = RunFolder(tmp_path, declare(onemax() | {"seed": 2}, PROBLEMS, "test"))
    with pytest.raises(ValueError, match="refused"):
        refused(begun, lambda path: begun.write_declaration())
    assert there.path.is_dir()
    assert (begun.path / "declaration.toml").is_file()


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "runs").write_text("a file where a folder should be")
    with (
        pytest.raises(ValueError, match="cannot be written"),
        RunFolder(tmp_path / "runs", declare(onemax(), PROBLEMS, "test")),
    ):
        pass


def test_a_search_in_which_everything_failed_still_leaves_its_files(tmp_path):
    run = Run(lotz(generations=0))
    for key, record in list(run.archive._records.items()):
        run.archive._records[key] = type(record)(key, record.genome, record.architecture, "error")
    with RunFolder(tmp_path, run.declaration) as folder:
        folder.write_results(run.toolbox.evaluator.judge, run.archive.networks())
    header = "leading_ones,trailing_zeros,architecture,genome"
    assert folder.results.read_text(encoding="utf-8").splitlines() == [header]


def test_a_table_that_is_held_open_is_written_later(tmp_path, caplog):
    generations = Run(onemax()).generations
    with RunFolder(tmp_path, declare(onemax(), PROBLEMS, "test")) as folder:
        (folder.path / "generations.csv").mkdir()
        folder.write_generation(generations[0], {})
        assert "generations.csv cannot be written now" in caplog.text
        (folder.path / "generations.csv").rmdir()
        folder.write_generation(generations[1], {})
        assert len(table(folder.path / "generations.csv")) == 2


def test_a_table_that_grows_is_not_written_for_every_row(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(whole_file, "write_table", lambda path, rows: written.append(len(rows)))
    growing = whole_file.GrowingTable(tmp_path / "table.csv")
    for _ in range(1009):
        growing.add({"generation": 0})
    growing.write()
    growing.write()
    assert written[:101] == list(range(1, 102))
    assert written[101:104] == [103, 105, 107]
    assert written[-1] == 1009
    assert len(written) < 400
