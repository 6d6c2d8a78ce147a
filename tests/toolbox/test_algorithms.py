import json
import random

import pytest
from deap import algorithms, tools
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import Run, lotz, onemax
from tests.golden.regenerate import FILE, final_populations
from toolbox.algorithms import ALGORITHMS

GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))
SEVERAL = sorted(set(ALGORITHMS) - {"genetic_algorithm"})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithm_takes_its_golden_steps(algorithm):
    assert algorithm in GOLDEN, "run python -m tests.golden.regenerate and look at the difference"
    assert final_populations(algorithm) == GOLDEN[algorithm]


def test_nsga2_finds_the_exactly_known_front():
    run = Run(lotz())
    (first, *_) = tools.sortNondominated(run.population, 20, first_front_only=True)
    front = {i.fitness.values for i in first}
    # Laumanns et al.: leading ones + trailing zeros = length, and nothing else, is optimal.
    assert front == {(float(ones), float(8 - ones)) for ones in range(9)}


def test_nsga2_keeps_no_copies_while_there_are_other_networks():
    run = Run(lotz(population=12, generations=10))
    for generation in run.generations[1:]:
        assert len({tuple(individual) for individual in generation.population}) == 12


def test_nsga2_keeps_its_size_in_a_space_smaller_than_its_population():
    tables = lotz(population=10, generations=3)
    run = Run(tables | {"problem": {"use": "lotz", "length": 2}})
    assert [len(generation.population) for generation in run.generations] == [10] * 4


def test_the_elite_survives_as_it_is():
    run = Run(onemax(elite=2, generations=15, crossover_probability=1.0, mutation_probability=1.0))
    best = [generation.best[0] for generation in run.generations]
    assert best == sorted(best)
    assert best[-1] > best[0]


def test_immigrants_are_drawn_at_random_and_everyone_else_is_bred():
    drawn = []

    def count(toolbox, problem):
        draw = toolbox.individual
        toolbox.register("individual", lambda: drawn.append(1) or draw())

    tables = onemax(population=10, generations=3, elite=2, immigrants=0.25)
    run = Run(tables, swap=count)
    assert (
        len(drawn) == 10 + 3 * 2
    )  # the first population, and a quarter of the 8 places that the elite leaves
    assert {len(generation.population) for generation in run.generations} == {10}
    drawn.clear()
    Run(onemax(population=10, generations=3, elite=2, immigrants=1.0), swap=count)
    assert len(drawn) == 10 + 3 * 8


def test_random_search_keeps_the_best_of_everything():
    run = Run(onemax(use="random_search"))
    everything = sorted((record.measurement["ones"] for record in run.archive), reverse=True)
    assert sorted((i.fitness.values[0] for i in run.population), reverse=True) == everything[:8]


@given(
    population=st.integers(2, 13),
    generations=st.integers(0, 3),
    algorithm=st.sampled_from(SEVERAL),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_the_population_keeps_its_size(population, generations, algorithm, seed):
    run = Run(lotz(use=algorithm, population=population, generations=generations) | {"seed": seed})
    assert len(run.generations) == generations + 1
    assert {len(generation.population) for generation in run.generations} == {population}
    assert all(i.fitness.valid for i in run.population)


@pytest.mark.parametrize("algorithm", ["eaMuPlusLambda", "eaMuCommaLambda"])
def test_deap_s_either_or_probabilities_are_checked(algorithm):
    options = {"crossover_probability": 0.9, "mutation_probability": 0.2}
    with pytest.raises(ValueError, match="together at most 1"):
        Run(onemax(use=algorithm, **options))


def test_mu_comma_lambda_needs_enough_children():
    with pytest.raises(ValueError, match=r"algorithm\.offspring = 4: at least"):
        Run(onemax(use="eaMuCommaLambda", offspring=4))


def test_deap_s_algorithm_called_by_generation_takes_the_steps_of_one_call():
    run = Run(onemax(use="eaSimple", generations=4))
    random.seed(run.declaration.seed)
    whole = run.toolbox.population(n=8)
    whole, _ = algorithms.eaSimple(whole, run.toolbox, 0.9, 0.2, ngen=4, verbose=False)
    assert run.population == whole


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3", "spea2", "random_search", "eaSimple"])
def test_a_population_of_one_is_evolved(algorithm):
    run = Run(lotz(use=algorithm, population=1, generations=3))
    assert [len(generation.population) for generation in run.generations] == [1] * 4


def test_crossover_of_either_or_needs_two_parents():
    with pytest.raises(ValueError, match=r"algorithm\.population = 1: crossover needs at least 2"):
        Run(onemax(use="eaMuPlusLambda", population=1))
