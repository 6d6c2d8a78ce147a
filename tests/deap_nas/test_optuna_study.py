"""The record of a search as a study of Optuna."""

import io

import optuna
import pytest
from rich.console import Console

from deap_nas.finished_run import FinishedRun
from deap_nas.optuna_study import write_studies
from toolbox.report.ranking import front

PROBLEM = """
from problems.spaces.gene import Gene

class Chain:
    def __init__(self):
        self.genes = (
            Gene("first", (8, 16, 32)),
            Gene("second", ("off", "on")),
            Gene("width", ((1, 2), (3, 4))),
        )
    def canonical(self, genome):
        return genome if genome[1] else [*genome[:2], 0]
    def decode(self, genome):
        return "".join(map(str, self.canonical(genome)))

class Chains:
    space = Chain()
    measures = ("value", "size", "train_seconds")
    reseeds = True
    quantities = {
        "value": {"direction": "maximize", "worst": -1.0},
        "size": {"direction": "minimize", "worst": 100.0},
    }
    def evaluate(self, genome, seed=0):
        if genome == [2, 1, 1]:
            raise RuntimeError("too much")
        a, b, c = genome
        return {"value": a + b * (c + 0.5) + seed / 9, "size": a * a + b + c, "train_seconds": 2.0}
"""

SEARCH = """
objectives = ["value", "size"]
seed = 1
[problem]
use = "chains:Chains"
[toolbox]
map = "serial"
[algorithm]
use = "nsga2"
population = 8
generations = 3
[bounds]
size = 4.5
"""


@pytest.fixture
def searched(tmp_path, monkeypatch, command):
    """Searches in the current folder with the given overrides; their run folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chains.py").write_text(PROBLEM)
    (tmp_path / "search.toml").write_text(SEARCH)

    def search(*overrides):
        status, _, error = command("search.toml", *overrides)
        assert status == 0, error
        return tmp_path / "runs" / "search" / "seed-1"

    return search


STORAGES = []


@pytest.fixture(autouse=True)
def _closed():
    yield
    while STORAGES:
        storage = STORAGES.pop()
        storage.remove_session()
        storage.engine.dispose()


def storage_in(folder):
    STORAGES.append(optuna.storages.RDBStorage(f"sqlite:///{folder / 'optuna.sqlite'}"))
    return STORAGES[-1]


def study_of(folder, name="search/seed-1"):
    return optuna.load_study(study_name=name, storage=storage_in(folder))


def front_of(run):
    finished = FinishedRun.open(run)
    return sorted(record.key for record in front(finished.judge, finished.archive.networks()))


def test_the_best_trials_are_the_front_and_the_trials_all_networks(searched, command):
    run = searched()
    status, out, _ = command("export", run, "--to", "optuna")
    assert status == 0
    assert "search/seed-1; now: optuna-dashboard sqlite:///" in out
    study = study_of(run)
    assert sorted(trial.user_attrs["key"] for trial in study.best_trials) == front_of(run)
    records = {record.key: record for record in FinishedRun.open(run).archive}
    assert len(study.trials) == len(records)
    assert study.metric_names == ["value", "size"]
    assert [one.name for one in study.directions] == ["MAXIMIZE", "MINIMIZE"]
    for trial in study.trials:
        record = records[trial.user_attrs["key"]]
        assert trial.state.name == ("FAIL" if record.status == "error" else "COMPLETE")
        assert trial.params["first"] == (8, 16, 32)[record.genome[0]]
        assert ("width" in trial.params) == (trial.params["second"] == "on")
        assert trial.user_attrs["generation"] in range(4)
        if record.status != "error":
            assert trial.values == [record.measurement["value"], record.measurement["size"]]
            assert trial.duration.total_seconds() == 2.0
        else:
            assert "too much" in trial.user_attrs["message"]
    assert any(trial.state.name == "FAIL" for trial in study.trials)
    assert any(max(trial.constraints.values(), default=0) > 0 for trial in study.trials)


def test_after_finals_the_best_trials_are_the_front_by_means(searched, tmp_path):
    run = searched("finals.networks=3", "finals.seeds=2")
    write_studies([FinishedRun.open(run)], tmp_path / "optuna.sqlite", Console(file=io.StringIO()))
    study = study_of(tmp_path)
    assert sorted(trial.user_attrs["key"] for trial in study.best_trials) == front_of(run)
    assert {trial.user_attrs["trainings"] for trial in study.best_trials} == {3}


def test_the_seeds_of_one_search_are_studies_of_one_file(searched, tmp_path, command):
    searched("--seeds", "2")
    assert command("export", "runs/search", "--to", "optuna")[0] == 0
    assert command("export", "runs/search", "--to", "optuna")[0] == 0  # written anew
    names = optuna.get_all_study_names(storage_in(tmp_path / "runs/search"))
    assert sorted(names) == ["search/seed-1", "search/seed-2"]


def test_what_is_missing_or_does_not_fit_is_one_line(searched, monkeypatch, command):
    run = searched("algorithm.generations=0")
    status, _, error = command("export", run, "--to", "optuna", "--pick", "best")
    assert (status, error) == (
        2,
        "error: --pick: it is for --format; --to optuna takes all networks\n",
    )
    monkeypatch.setattr("deap_nas.optuna_study.find_spec", lambda name: None)
    status, _, error = command("export", run, "--to", "optuna")
    assert status == 2
    assert error == (
        "error: --to optuna: the package optuna is not installed; pip install 'deap-nas[optuna]'\n"
    )
    assert not (run / "optuna.sqlite").exists()
