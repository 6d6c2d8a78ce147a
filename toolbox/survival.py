"""From children and parents to the next population: one network does not fill it with copies."""

from typing import Any

from toolbox.breeding import Parents, offspring
from toolbox.evaluation import evaluate_invalid
from toolbox.individual import Individual


def mu_plus_lambda(
    population: list[Individual],
    toolbox: Any,
    parents: Parents,
    crossover_probability: float,
    mutation_probability: float,
    remutations: int,
    children: int | None,
) -> list[Individual]:
    """The survivors of a population and of `children` bred of `parents` and evaluated.

    children: by default as many as the population.
    """
    probabilities = (crossover_probability, mutation_probability)
    bred = offspring(toolbox, parents, children or len(population), *probabilities, remutations)
    evaluate_invalid(bred, toolbox)
    return survivors(population + bred, len(population), toolbox)


def survivors(individuals: list[Individual], count: int, toolbox: Any) -> list[Any]:
    """The `count` that `toolbox.select` chooses; copies only where there are too few networks."""
    distinct, copies = without_copies(individuals, toolbox)
    missing = max(0, count - len(distinct))
    selected: list[Individual] = toolbox.select(distinct, count - missing)
    return selected + copies[:missing]


def without_copies(individuals: list[Individual], toolbox: Any) -> tuple[list[Any], list[Any]]:
    """The first individual of each network, and the others."""
    first: dict[tuple[int, ...], Any] = {}
    copies = []
    for individual in individuals:
        network = tuple(toolbox.canonical(individual))
        if network in first:
            copies.append(individual)
        else:
            first[network] = individual
    return list(first.values()), copies
