"""Each example from its search to an exported network, from a folder that is not its own."""

import json

import pytest

from tests.conftest import REPOSITORY, run_search

OWN = ("own_network", "own_depthwise", "own_layer")


def lines_of_code(name):
    """The lines of an example without its documentation, its imports and what is blank."""
    lines = (REPOSITORY / "examples" / f"{name}.py").read_text().splitlines()
    return [line for line in lines if line and not line.startswith(('"""', "from ", "import "))]


@pytest.mark.parametrize("name", ["own_network", "own_depthwise"])
def test_a_network_of_ones_own_takes_at_most_fifteen_lines(name):
    assert len(lines_of_code(name)) <= 15


@pytest.mark.slow
@pytest.mark.parametrize("name", OWN)
def test_an_example_is_searched_reported_retrained_and_exported(name, tmp_path):
    def run(*arguments):
        done = run_search(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run(REPOSITORY / "examples" / f"{name}.toml", "algorithm.generations=1", "toolbox.map=serial")
    folder = tmp_path / "runs" / name / "seed-1"
    run("report", folder)
    layers = (folder / "report" / "network.csv").read_text().splitlines()
    assert "image" in layers[1]
    assert "linear 10" in layers[-1]
    run("retrain", folder, "--seeds", "1", "training.epochs=1")
    run("export", folder, "--format", "torch")
    (told,) = (folder / "exported").glob("*/torch.json")
    assert json.loads(told.read_text())["difference"] < 1e-3
