"""Single changes of a network, trained by `report --ablate`."""

import csv
import io
import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest
from rich.console import Console

from deap_nas.ablation import FILE, ablate, ablations_of
from deap_nas.finished_run import FinishedRun
from toolbox.archive import Archive
from toolbox.finals import deviation_within
from toolbox.report.ablation import ablation_rows

NOWHERE = Console(file=io.StringIO())

PROBLEM = """
from pathlib import Path
from problems.spaces.bit_string import BitString

class Weighted:
    space = BitString(8)
    measures = ("value", "size")
    quantities = {
        "value": {"direction": "maximize", "worst": -1.0},
        "size": {"direction": "minimize", "worst": 100.0},
    }
    def known(self, genome):
        return {"size": float(sum(genome))}
    def evaluate(self, genome):
        with open("evaluated.txt", "a") as file:
            file.write(f"{genome}\\n")
        if genome[7] and genome[6] and genome[5]:
            raise RuntimeError("these three together")
        return {"value": sum(2.0**-n * bit for n, bit in enumerate(genome))} | self.known(genome)
"""

SEARCH = """
objectives = ["value", "size"]
seed = 1
[problem]
use = "weighted:Weighted"
[toolbox]
map = "serial"
[algorithm]
use = "nsga2"
population = 12
generations = 3
"""


@pytest.fixture
def run(tmp_path, monkeypatch, command):
    """The run folder of a search in the current folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weighted.py").write_text(PROBLEM)
    (tmp_path / "search.toml").write_text(SEARCH)
    status, _, error = command("search.toml")
    assert status == 0, error
    return tmp_path / "runs" / "search" / "seed-1"


def evaluated(folder):
    return (folder / "evaluated.txt").read_text().count("\n")


def rows_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_each_change_is_trained_once_and_stands_on_the_page(run, tmp_path, command):
    before, archive = evaluated(tmp_path), (run / "archive.sqlite").read_bytes()
    ablate(FinishedRun.open(run), "best", 5, NOWHERE)
    trained = evaluated(tmp_path)
    assert before < trained <= before + 5
    status, out, error = command("report", run, "--ablate", 5, "--network", "best")
    assert status == 0, error
    assert "Single changes of" in out
    assert evaluated(tmp_path) == trained
    assert (run / "archive.sqlite").read_bytes() == archive
    itself, *changes = rows_of(run / "report" / f"ablation_{run.name}_1.csv")
    assert itself["gene"] == "(as it is)"
    assert len(changes) == 5 == len({row["gene"] for row in changes})
    for row in changes:
        moved = float(row["value"]) - float(itself["value"])
        assert float(row["change of value"]) == pytest.approx(moved)
        assert row["from"] != row["to"]
    assert abs(float(changes[0]["change of value"])) == 1.0  # by far the most telling gene
    page = (run / "report" / "report.html").read_text()
    assert f"What single changes do ({run.name})" in page
    assert "How much two trainings of one network differ is not known here" in page


def test_a_search_goes_on_as_if_there_had_been_no_ablation(run, tmp_path, command):
    alone = shutil.copytree(run, tmp_path / "alone" / "search" / "seed-1")
    ablate(FinishedRun.open(run), None, 8, NOWHERE)
    for runs in ("runs", "alone"):
        assert command("search.toml", "algorithm.generations=6", "--runs", runs)[0] == 0
    for name in ("population.csv", "front.csv"):
        assert (run / name).read_bytes() == (alone / name).read_bytes()
    both = [Archive.read(one / "archive.sqlite") for one in (run, alone)]
    records = [[replace(record, finished_at="") for record in archive] for archive in both]
    assert records[0] == records[1]
    assert both[0].births == both[1].births


def test_a_change_that_fails_is_told_and_does_not_end_the_ablation(run):
    finished = FinishedRun.open(run)
    edge = next(r for r in finished.archive if r.status == "ok" and sum(r.genome[5:]) == 2)
    found = ablate(finished, edge.key, 8, NOWHERE)
    assert len(found.changes) == 8
    (failed,) = (
        row for row in ablation_rows(finished.judge, found, None) if row["status"] == "error"
    )
    assert failed["value"] is failed["change of value"] is None
    assert ablations_of(finished) == [found]


def test_the_noise_of_a_change_is_that_of_networks_that_were_trained_again(run):
    finished = FinishedRun.open(run)
    record = next(r for r in finished.archive if r.status == "ok")
    other = replace(record, measurement=record.measurement | {"value": 0.5})
    twice = replace(record, further=(other,))
    own = record.measurement["value"]
    (deviation, none) = deviation_within(finished.judge, [twice])
    assert deviation == pytest.approx(abs(own - 0.5) / 2**0.5)
    assert none == 0
    assert deviation_within(finished.judge, [record]) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--ablate", "0"], "--ablate 0: a number of at least 1 is needed"),
        (["--network", "best"], "--network best: it is the network of --ablate N"),
        (["--ablate", "2", "--network", "bst"], "did you mean 'best'?"),
    ],
)
def test_a_wrong_argument_is_one_line(run, command, arguments, message):
    status, _, error = command("report", run, *arguments)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not (run / FILE).exists()


def test_too_few_networks_and_several_runs_are_refused(run, tmp_path, command):
    status, _, error = command("report", run, run, "--ablate", 2)
    assert (status, "one run folder is needed" in error) == (2, True)
    few = ("algorithm.generations=0", "algorithm.population=4")
    assert command("search.toml", *few, "--runs", "few")[0] == 0
    status, _, error = command("report", tmp_path / "few/search/seed-1", "--ablate", 2)
    assert (status, "networks are too few; 5 are needed" in error) == (2, True)


def test_networks_that_were_measured_otherwise_are_refused(run, command):
    with closing(sqlite3.connect(run / "archive.sqlite")) as connection, connection:
        problem = {"use": "weighted:Weighted", "device": "cuda"}
        row = (json.dumps(problem), "problem")
        connection.execute("UPDATE meta SET value = ? WHERE name = ?", row)
    status, _, error = command("report", run, "--ablate", 2)
    assert status == 2
    assert "were not trained as they would be here (problem.device was" in error
