"""What every entry of the toolbox must return, whoever registered it."""

import copy
import math
import random

import pytest
from deap import base, creator, gp, tools

from tests.conftest import Run, lotz, onemax
from toolbox.individual import Individual
from toolbox.operator_error import OperatorError


def swapping(**functions):
    def swap(toolbox, problem):
        for alias, function in functions.items():
            toolbox.register(alias, function)

    return swap


def raising(*_, **__):
    return {}["missing"]


@pytest.mark.parametrize(
    ("functions", "message"),
    [
        ({"individual": lambda: [1] * 5}, "individual: it returned 5 genes; this space has 12"),
        ({"individual": lambda: None}, "individual: it returned None; a list of genes is needed"),
        ({"individual": lambda: [0.5] * 12}, "individual: it returned bit1 = 0.5; genes are int"),
        ({"individual": lambda: [7] * 12}, r"individual: \[7, .*\] is no network of this space"),
        ({"individual": raising}, "individual: KeyError: 'missing'"),
        ({"population": lambda n: []}, "population: it returned 0; a list of 8 is needed"),
        ({"population": lambda n: None}, "population: it returned None; a list of 8 is needed"),
        ({"population": lambda n: [[1]] * n}, "population: it returned 1 genes; this space has 12"),
        ({"population": raising}, "population: KeyError: 'missing'"),
        ({"clone": lambda one: one}, "clone: it returned what it was given; a copy is needed"),
        ({"clone": list}, "clone: it returned .*, which is no individual"),
        ({"clone": raising}, "clone: KeyError: 'missing'"),
        ({"evaluate": lambda one: sum(one)}, r"evaluate: it returned \d+; a tuple of 1, of a fin"),
        ({"evaluate": lambda one: (math.nan,)}, r"evaluate: it returned \(nan,\); a tuple of 1"),
        ({"evaluate": lambda one: (math.inf,)}, r"evaluate: it returned \(inf,\); a tuple of 1"),
        (
            {"evaluate": lambda one: (1, 2)},
            r"evaluate: .* number for each of ones, is needed",
        ),
        ({"evaluate": raising}, "evaluate: KeyError: 'missing'"),
    ],
)
def test_what_breaks_its_contract_is_one_line(functions, message):
    with pytest.raises(OperatorError, match=r"^toolbox\." + message):
        Run(onemax(), swap=swapping(**functions))


def test_genes_alone_become_individuals():
    genes = {"individual": lambda: [random.randrange(2) for _ in range(12)]}
    run = Run(
        lotz(generations=3) | {"problem": {"use": "lotz", "length": 12}}, swap=swapping(**genes)
    )
    assert {one.fitness.weights for one in run.population} == {(1.0, 1.0)}
    run = Run(onemax(generations=1), swap=swapping(population=lambda n: [[1] * 12] * n))
    assert run.generations[0].best == (12.0,)


@pytest.fixture
def of_creator():
    """DEAP's own way to make a class of individuals."""
    creator.create("OneValue", base.Fitness, weights=(1.0,))
    creator.create("Genes", list, fitness=creator.OneValue)
    yield creator.Genes
    del creator.OneValue, creator.Genes


def test_individuals_of_deap_s_creator_are_searched(of_creator):
    def swap(toolbox, problem):
        toolbox.register("bit", random.randint, 0, 1)
        toolbox.register("individual", tools.initRepeat, of_creator, toolbox.bit, n=12)
        toolbox.register("population", tools.initRepeat, list, toolbox.individual)
        assert len(toolbox.population(3)) == 3  # how many is often told without its name

    run = Run(onemax(generations=20), swap=swap)
    assert {type(one) for one in run.population} == {of_creator}
    assert run.generations[-1].best == (12.0,)


def test_a_fitness_with_other_weights_than_the_objectives_is_refused(of_creator):
    def swap(toolbox, problem):
        toolbox.register("individual", lambda: of_creator([1] * 8))

    message = r"toolbox\.individual: .* has the weights \(1\.0,\); those .* are \(1\.0, 1\.0\)"
    with pytest.raises(OperatorError, match=message):
        Run(lotz(), swap=swap)


def test_any_copy_will_do_for_a_clone():
    run = Run(onemax(), swap=swapping(clone=copy.deepcopy))
    assert run.population == Run(onemax()).population


def test_children_in_a_list_are_taken_as_the_decorators_of_deap_return_them():
    def swap(toolbox, problem):
        for alias in ("mate", "mutate"):
            toolbox.decorate(alias, gp.staticLimit(key=len, max_value=17))

    run = Run(onemax(), swap=swap)
    assert run.population == Run(onemax()).population


def test_an_evaluate_that_calls_the_search_s_own_ends_with_its_budget():
    def swap(toolbox, problem):
        before = toolbox.evaluate
        toolbox.register("evaluate", lambda individual: before(individual))

    run = Run(onemax() | {"stop": {"evaluations": 10}}, swap=swap)
    assert run.generations[-1].stopped == "10 networks were evaluated"
    assert len(run.archive) == 10


def test_an_individual_may_carry_more_than_genes():
    class Marked(Individual):
        mark = "kept"

    marked = {"individual": lambda: Marked([0, 1] * 6, weights=(1.0,))}
    assert {one.mark for one in Run(onemax(), swap=swapping(**marked)).population} == {"kept"}
