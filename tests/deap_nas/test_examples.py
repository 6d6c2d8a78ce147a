"""Each example from its search to an exported network, from a folder that is not its own."""

import csv
import json
import sys

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.usefixtures("untraced")

EXAMPLES = REPOSITORY / "examples"
OWN_NETWORKS = ("own_network", "own_depthwise", "own_layer")
OWN_DATA = ("own_data", "own_measure")


def lines_of_code(name):
    """The lines of an example without its documentation, its imports and what is blank."""
    lines = (EXAMPLES / f"{name}.py").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(('"""', "from ", "import "))]


@pytest.mark.parametrize("name", ["own_network", "own_depthwise"])
def test_a_network_of_ones_own_takes_at_most_fifteen_lines(name):
    assert len(lines_of_code(name)) <= 15


@pytest.fixture
def run(command, tmp_path, monkeypatch):
    """A command that ends with 0; what it said."""
    monkeypatch.chdir(tmp_path)
    for path in EXAMPLES.glob("*.py"):  # other tests have modules of these names
        monkeypatch.delitem(sys.modules, path.stem, raising=False)

    def well(*arguments):
        status, out, err = command(*arguments)
        assert status == 0, out + err
        return out + err

    yield well
    for path in EXAMPLES.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_NETWORKS)
def test_a_network_of_ones_own_is_searched_reported_retrained_and_exported(name, run, tmp_path):
    run(EXAMPLES / f"{name}.toml", "algorithm.generations=1", "toolbox.map=serial")
    folder = tmp_path / "runs" / name / "seed-1"
    run("report", folder)
    layers = (folder / "report" / "network.csv").read_text().splitlines()
    assert "image" in layers[1]
    assert "linear 10" in layers[-1]
    run("retrain", folder, "--seeds", "1", "training.epochs=1")
    run("export", folder, "--format", "torch")
    (told,) = (folder / "exported").glob("*/torch.json")
    assert json.loads(told.read_text())["difference"] < 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN_DATA)
def test_own_data_and_measures_are_searched_retrained_reported_and_exported(name, run, tmp_path):
    search = (EXAMPLES / f"{name}.toml", "toolbox.map=serial")
    assert "failed 0" in run(*search)
    assert "trained 0" in run(*search)
    folder = tmp_path / "runs" / name / "seed-1"
    assert "test accuracy" in run("retrain", folder, "--seeds", "1", "--pick", "best")
    run("report", folder)
    run("export", folder, "--format", "torch", "--pick", "best")
    with (folder / "retrained" / "summary.csv").open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert float(row["test_accuracy_mean"]) > 0.5
    if name == "own_measure":
        assert float(row["test_int8_kib_mean"]) == float(row["params"]) / 1024
        assert 0 <= float(row["test_worst_class_f1_mean"]) <= float(row["test_macro_f1_mean"])
