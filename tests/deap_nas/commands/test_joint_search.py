"""A search of recipes by the commands that come after it."""

import csv
import json
import shutil

import pytest

import deap_nas
from deap_nas.finished_run import FinishedRun
from problems.saved_network import load
from tests.problems.training.test_searched import RANGES, declared

pytestmark = pytest.mark.slow  # a search, and trainings of what it found


@pytest.fixture(scope="module")
def joint(tmp_path_factory):
    """The run folder of a finished search of recipes."""
    folder = tmp_path_factory.mktemp("joint")
    tables, _ = declared(RANGES)
    return deap_nas.Search(tables, runs=folder, name="joint", progress=False).run().path


@pytest.fixture
def run_folder(joint, tmp_path):
    return shutil.copytree(joint, tmp_path / "seed-1")


def test_tables_tell_the_recipe_of_each_network(joint):
    with (joint / "ranking.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        assert f"learning_rate={float(row['learning_rate'])}" in row["architecture"]
        assert f"batch_size={row['batch_size']}" in row["architecture"]
    result = deap_nas.open(joint)
    assert "learning_rate" in result.networks
    assert (joint / "declaration.toml").read_text().count("between = [") == 3


def test_a_network_is_retrained_and_exported_by_its_own_recipe(command, run_folder):
    best = deap_nas.open(run_folder).best
    status, _, error = command("retrain", run_folder, "--pick", "best", "--seeds", "1")
    assert status == 0, error
    (path,) = run_folder.glob("retrained/*/seed-1.json")
    trained = json.loads(path.read_text())["identity"]["problem"]["training"]
    joint = FinishedRun.open(run_folder).problem
    alone, genome = joint.of_one(best.genome)
    for name in ("batch_size", "optimizer", "learning_rate", "momentum", "normalize"):
        assert trained[name] == getattr(alone.training, name)
    _, blueprint = load(path.with_suffix(".safetensors"))
    assert blueprint.architecture == alone.space.decode(genome)
    assert blueprint.normalize is alone.training.normalize
    assert command("export", run_folder, "--format", "torch")[0] == 0
    (about,) = run_folder.glob("exported/*/torch.json")
    assert json.loads(about.read_text())["recipe"] == trained


def test_an_override_comes_before_the_network_s_own_recipe(command, run_folder):
    status, *_ = command("retrain", run_folder, "training.batch_size=25", "--seeds", "1")
    assert status == 0
    (path,) = run_folder.glob("retrained/*/seed-1.json")
    trained = json.loads(path.read_text())["identity"]["problem"]["training"]
    best = deap_nas.open(run_folder).best
    assert trained["batch_size"] == 25
    assert trained["learning_rate"] == best.measurement["learning_rate"]


def test_a_retraining_has_one_recipe(command, run_folder):
    status, _, error = command("retrain", run_folder, "training.batch_size={among=[16,32]}")
    assert status == 2
    assert "training.batch_size = {'among': [16, 32]}: a retraining has one recipe" in error
    assert not list(run_folder.glob("retrained/*/seed-*"))
