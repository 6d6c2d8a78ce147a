"""DEAP's own algorithms, unmodified, one generation a call.

Each is run for one generation on the evaluated population; called n times it makes the same draws
as one call with ngen = n.
"""

from collections.abc import Callable
from typing import Any

from deap import algorithms, base

from toolbox.algorithm_facts import algorithm, offspring_or_population
from toolbox.breeding import Offspring
from toolbox.individual import Individual
from toolbox.operator_error import OperatorError
from toolbox.probability import Probability


@algorithm(parents="tournament")
def ea_simple(
    population: list[Individual],
    toolbox: base.Toolbox,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 0.2,
) -> list[Individual]:
    """`deap.algorithms.eaSimple`: selected parents, varied; the children replace everyone."""
    evolved: list[Individual]
    evolved, _ = algorithms.eaSimple(
        population, toolbox, crossover_probability, mutation_probability, ngen=1, verbose=False
    )
    return evolved


@algorithm(children=offspring_or_population)
def ea_mu_plus_lambda(
    population: list[Individual],
    toolbox: base.Toolbox,
    crossover_probability: Probability = 0.6,
    mutation_probability: Probability = 0.3,
    offspring: Offspring = None,
) -> list[Individual]:
    """`deap.algorithms.eaMuPlusLambda`: the best of parents and `offspring` children survive.

    offspring: default the population's size.  A child is crossed, or mutated, or copied, so the
    probabilities add up to at most 1.
    """
    probabilities = (crossover_probability, mutation_probability)
    return _mu_lambda(algorithms.eaMuPlusLambda, population, toolbox, offspring, probabilities)


@algorithm(children=offspring_or_population)
def ea_mu_comma_lambda(
    population: list[Individual],
    toolbox: base.Toolbox,
    crossover_probability: Probability = 0.6,
    mutation_probability: Probability = 0.3,
    offspring: Offspring = None,
) -> list[Individual]:
    """`deap.algorithms.eaMuCommaLambda`: the best of `offspring` children survive.

    offspring: at least the population's size, which is the default.  A child is crossed, or
    mutated, or copied, so the probabilities add up to at most 1.
    """
    if offspring is not None and offspring < len(population):
        raise OperatorError(
            f"algorithm.offspring = {offspring}: at least the population's size of "
            f"{len(population)} is needed, because only children survive"
        )
    probabilities = (crossover_probability, mutation_probability)
    return _mu_lambda(algorithms.eaMuCommaLambda, population, toolbox, offspring, probabilities)


def _mu_lambda(
    evolve: Callable[..., Any],
    population: list[Individual],
    toolbox: base.Toolbox,
    offspring: int | None,
    probabilities: tuple[float, float],
) -> list[Individual]:
    size = len(population)
    crossover_probability, mutation_probability = probabilities
    if size < 2 and crossover_probability:
        raise OperatorError(
            f"algorithm.population = {size}: crossover needs at least 2, because a child has two "
            "different parents"
        )
    if sum(probabilities) > 1:
        raise OperatorError(
            f"algorithm.mutation_probability = {mutation_probability:g} and crossover_probability "
            f"= {crossover_probability:g}: a child is crossed or mutated, so together at most 1"
        )
    evolved: list[Individual]
    evolved, _ = evolve(
        population, toolbox, size, offspring or size, *probabilities, ngen=1, verbose=False
    )
    return evolved
