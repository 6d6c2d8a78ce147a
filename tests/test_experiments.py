"""Every experiment is a declaration that loads, fits its comment and can begin."""

import re

import pytest

from problems import PROBLEMS
from tests.conftest import REPOSITORY
from toolbox.assemble import rehearse
from toolbox.declaration import load

EXPERIMENTS = sorted((REPOSITORY / "experiments").glob("*.toml"))


def test_there_are_experiments():
    assert {path.stem for path in EXPERIMENTS} >= {
        *("quickstart", "fashion_mnist_ga", "fashion_mnist_nsga2", "cifar10_nsga2")
    }


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_an_experiment_loads_and_its_arithmetic_is_right(path):
    declaration = load(path, [], PROBLEMS)
    problem = declaration.problem.build()
    budget = problem.budget(declaration.most_evaluations)
    networks, _, epochs, _, images = re.match(
        r"([\d,]+) (networks) x (\d+) (epochs) x ([\d,]+) images", budget
    ).groups()
    comment = " ".join(
        line.strip("# ") for line in path.read_text().splitlines() if line.startswith("#")
    )
    assert f"= {networks} networks x {epochs} epochs x {images} images" in comment
    rehearse(declaration, problem)


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_overrides_in_an_experiment_s_comment_are_right(path):
    for line in path.read_text().splitlines():
        if line.startswith("# Ten minutes on two cores: "):
            overrides = line.partition(": ")[2].split()
            rehearse(
                load(path, overrides, PROBLEMS), load(path, overrides, PROBLEMS).problem.build()
            )
