"""Every experiment is a declaration that loads, fits its comment and can begin."""

import pytest

from problems import PROBLEMS
from tests.conftest import REPOSITORY
from toolbox.assemble import rehearse
from toolbox.declaration import load
from toolbox.problem import adapted

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
    if declaration.problem.use == "image_classification":
        budget = budget.partition(" = ")[0]  # comments round the product
    comment = " ".join(
        line.strip("# ") for line in path.read_text().splitlines() if line.startswith("#")
    )
    assert f"= {budget}" in comment
    rehearse(declaration, adapted(problem).wanted(declaration.needs))


@pytest.mark.parametrize("path", EXPERIMENTS, ids=lambda path: path.stem)
def test_the_overrides_in_an_experiment_s_comment_are_right(path):
    for line in path.read_text().splitlines():
        if line.startswith("# Ten minutes on two cores: "):
            overrides = line.partition(": ")[2].split()
            declaration = load(path, overrides, PROBLEMS)
            problem = adapted(declaration.problem.build())
            rehearse(declaration, problem.wanted(declaration.needs))
