"""What several seeds of one search found, as one run."""

import json
import sqlite3
from contextlib import closing

import pytest

from deap_nas.finished_run import FinishedRun
from deap_nas.opening import of_seeds
from deap_nas.seeds_together import open_together
from tests.test_run_search import DIGITS
from toolbox.report.picking import pick
from toolbox.report.ranking import front

NOISY = """
import random
from problems.spaces.bit_string import BitString

class Noisy:
    measures = ("value", "size")
    quantities = {
        "value": {"direction": "maximize", "worst": -1.0},
        "size": {"direction": "minimize", "worst": 100.0},
    }
    def __init__(self, seed=0):
        self.space, self.seed = BitString(4), seed
    def evaluate(self, genome):
        chance = random.Random(f"{self.seed} {genome}").random()
        return {"value": sum(2.0**-n * bit for n, bit in enumerate(genome)) + chance / 9,
                "size": float(sum(genome))}
"""

SEARCH = """
objectives = ["value", "size"]
[problem]
use = "noisy:Noisy"
[toolbox]
map = "serial"
[algorithm]
use = "nsga2"
population = 6
generations = 1
"""


@pytest.fixture
def seeds(tmp_path, monkeypatch, command):
    """The folder of two seeds."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "noisy.py").write_text(NOISY)
    (tmp_path / "search.toml").write_text(SEARCH)
    status, _, error = command("search.toml", "--seeds", "2")
    assert status == 0, error
    return tmp_path / "runs" / "search"


def test_a_network_of_several_seeds_counts_once_with_its_best_measurement(seeds):
    runs = [FinishedRun.open(seeds / f"seed-{seed}") for seed in (1, 2)]
    found = open_together(seeds)
    values: dict[str, float] = {}
    for run in runs:
        for record in run.archive.networks():
            value = record.measurement["value"]
            values[record.architecture] = max(value, values.get(record.architecture, 0.0))
    networks = found.archive.networks()
    assert {r.architecture: r.measurement["value"] for r in networks} == values
    assert len(networks) < sum(len(run.archive) for run in runs)  # both found some of them
    assert all(found.archive.is_whole(record) for record in networks)
    best = pick(found.judge, networks, "best")
    assert best.measurement["value"] == max(values.values())
    assert pick(found.judge, networks, best.key) == best
    architectures = [record.architecture for record in front(found.judge, networks)]
    assert len(architectures) == len(set(architectures))


def test_runs_of_other_problems_are_no_seeds_of_one_search(seeds):
    with closing(sqlite3.connect(seeds / "seed-2" / "archive.sqlite")) as connection, connection:
        row = (json.dumps({"use": "noisy:Other", "seed": 2}), "problem")
        connection.execute("UPDATE meta SET value = ? WHERE name = ?", row)
    with pytest.raises(ValueError, match=r"it is no seed of the search of .*problem\.use was"):
        open_together(seeds)


@pytest.mark.slow
def test_what_the_seeds_found_together_is_retrained_in_their_folder_and_reported(
    tmp_path, monkeypatch, command
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits.toml").write_text(DIGITS)
    small = ("toolbox.map=serial", "algorithm.generations=0", "--seeds", "2")
    assert command("digits.toml", *small)[0] == 0
    folder = tmp_path / "runs" / "digits"
    status, out, error = command("retrain", folder, "--seeds", "1", "training.epochs=1")
    assert status == 0, error
    assert str(folder / "retrained" / "summary.csv") in out
    found = open_together(folder)
    knee = pick(found.judge, found.archive.networks(), "knee")
    assert [one.name[:12] for one in (folder / "retrained").glob("*-*")] == [knee.key[:12]]
    assert command("report", folder)[0] == 0
    page = (folder / "report" / "report.html").read_text()
    assert page.count("-of-all-seeds)</h2>") == 1
    status, out, error = command("export", folder, "--format", "torch")
    assert status == 0, error
    assert (folder / "exported").is_dir()


def test_what_an_override_swaps_is_said_once_for_all_seeds(tmp_path, caplog):
    path = tmp_path / "ones.toml"
    path.write_text(
        'objectives = ["ones"]\nproblem = "onemax"\n'
        'algorithm = { use = "nsga2", population = 4, generations = 1, offspring = 2 }\n'
    )
    declarations = of_seeds(path, ["algorithm.use=random_search"], seeds=3)
    assert [one.seed for one in declarations] == [1, 2, 3]
    assert [one.algorithm.use for one in declarations] == ["random_search"] * 3
    assert len([text for text in caplog.messages if "left out" in text]) == 1
