import inspect
import itertools
import json
import random

import pytest
from deap import algorithms, tools
from hypothesis import given, settings
from hypothesis import strategies as st

from problems import PROBLEMS
from tests.conftest import Run, lotz, onemax
from tests.golden.regenerate import FILE, final_populations
from toolbox.algorithms import ALGORITHMS
from toolbox.archive import Archive
from toolbox.assemble import rehearse
from toolbox.declaration import declare
from toolbox.lineage import ancestors
from toolbox.operator_error import OperatorError

GOLDEN = json.loads(FILE.read_text(encoding="utf-8"))
SEVERAL = sorted(set(ALGORITHMS) - {"genetic_algorithm"})
BREEDING = sorted(
    name for name, a in ALGORITHMS.items() if "remutations" in inspect.signature(a).parameters
)


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


def test_an_elite_as_large_as_the_population_is_refused_before_anything_is_trained():
    declaration = declare(onemax(elite=8), PROBLEMS, "test")
    with pytest.raises(OperatorError, match=r"^algorithm\.elite = 8: .*less than the population"):
        rehearse(declaration, declaration.problem.build())


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


searches = given(
    population=st.integers(4, 13),
    generations=st.integers(0, 4),
    algorithm=st.sampled_from(SEVERAL),
    screen=st.sampled_from(["everyone", "interaction_ranker"]),
    budget=st.integers(14, 40),
    seed=st.integers(0, 99),
)


def declared(population, generations, algorithm, screen, budget, seed):
    """A search for two objectives by any algorithm; its screen, where the algorithm has a use."""
    options = {"islands": 2} if algorithm == "islands" else {}
    tables = lotz(use=algorithm, population=population, generations=generations, **options)
    if algorithm in BREEDING:
        tables["toolbox"] = tables["toolbox"] | {"screen": screen}
    return tables | {"seed": seed, "stop": {"evaluations": budget}}


@pytest.mark.slow
@searches
@settings(max_examples=100, deadline=None)
def test_the_population_keeps_its_size_and_the_budget_is_never_exceeded(**search):
    run = Run(declared(**search))
    assert {len(generation.population) for generation in run.generations} == {search["population"]}
    assert all(i.fitness.valid for i in run.population)
    assert len(run.archive) <= search["budget"]
    if len(run.archive) < search["budget"]:
        assert len(run.generations) == search["generations"] + 1


@searches
@settings(max_examples=60, deadline=None)
def test_a_search_is_repeated_exactly_from_any_part_of_its_archive(**search):
    whole = Run(declared(**search))
    known = Archive(whole.archive.problem)
    for record in list(whole.archive)[: len(whole.archive) // 2]:
        known.add(record)
    repeated = Run(declared(**search), archive=known)
    assert repeated.population == whole.population
    assert [g.best for g in repeated.generations] == [g.best for g in whole.generations]
    assert {record.key for record in known} == {record.key for record in whole.archive}


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


@pytest.mark.parametrize("algorithm", ["nsga2", "nsga3", "spea2"])
@pytest.mark.parametrize("offspring", [3, 20])
def test_a_generation_has_as_many_offspring_as_are_declared(algorithm, offspring):
    run = Run(lotz(use=algorithm, population=8, generations=3, offspring=offspring))
    assert [generation.evaluated for generation in run.generations] == [8] + [offspring] * 3
    assert [len(generation.population) for generation in run.generations] == [8] * 4


def test_offspring_are_as_many_as_the_population_unless_they_are_declared():
    told = Run(lotz(use="nsga2", population=8, generations=3, offspring=8))
    assert told.population == Run(lotz(use="nsga2", population=8, generations=3)).population


def test_no_offspring_at_all_are_refused():
    with pytest.raises(ValueError, match=r"algorithm\.offspring = 0"):
        Run(lotz(use="nsga2", offspring=0))


def test_crossover_of_either_or_needs_two_parents():
    with pytest.raises(ValueError, match=r"algorithm\.population = 1: crossover needs at least 2"):
        Run(onemax(use="eaMuPlusLambda", population=1))


def test_every_algorithm_that_breeds_is_guided():
    assert {"genetic_algorithm", "nsga2", "steady_state", "islands"} <= set(BREEDING)


def test_regularized_evolution_lets_the_oldest_die():
    run = Run(onemax(use="regularized_evolution", population=6, generations=4))
    for before, after in itertools.pairwise(run.generations):
        # With one child in flight all that were there are gone after six children.
        assert not {id(one) for one in before.population} & {id(one) for one in after.population}
        numbers = [one.born for one in after.population]
        assert numbers == sorted(numbers)


def test_a_sample_of_one_is_a_random_walk_and_a_large_one_climbs():
    def reached(sample):
        tables = onemax(
            use="regularized_evolution", population=8, generations=12, sample=sample
        ) | {"problem": {"use": "onemax", "length": 30}}
        tables["toolbox"] = tables["toolbox"] | {"mutate": {"use": "reset_gene"}}
        return Run(tables).generations[-1].median[0]

    assert reached(16) > reached(1) + 4


def test_a_steady_state_keeps_the_best_and_no_copies():
    run = Run(lotz(use="steady_state", population=10, generations=12))
    assert [g.hypervolume for g in run.generations] == sorted(
        g.hypervolume for g in run.generations
    )
    assert len({tuple(one) for one in run.population}) == 10
    assert sum(g.evaluated for g in run.generations) == 130


def test_islands_exchange_nothing_until_it_is_time():
    def islands(migrate_every):
        options = {"islands": 2, "migrate_every": migrate_every, "population": 8}
        tables = lotz(use="islands", generations=4, crossover_probability=0.0, **options)
        run = Run(tables)
        births = {birth.number: birth for birth in run.archive.births}
        return [
            {
                births[old].number < 4
                for one in half
                for old in [ancestors(run.archive.births, one.born)[0].number]
            }
            for half in (run.population[:4], run.population[4:])
        ]

    assert islands(migrate_every=9) == [{True}, {False}]
    assert {True, False} in islands(migrate_every=1)


def test_islands_without_room_for_their_migrants_are_refused():
    with pytest.raises(OperatorError, match=r"algorithm\.islands = 4: .* of 7 is too small; .* 8"):
        Run(lotz(use="islands", population=7))
