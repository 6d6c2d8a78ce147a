"""NSGA-II (Deb, Pratap, Agarwal & Meyarivan, 2002), one generation a call."""

from functools import partial
from typing import Any

from deap import base

from toolbox.breeding import Parents, Remutations, offspring
from toolbox.evaluation import evaluate_invalid
from toolbox.probability import Probability
from toolbox.selection.nsga2 import crowded_tournament


def nsga2(
    population: list,
    toolbox: base.Toolbox,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 1.0,
    remutations: Remutations = 10,
) -> list:
    """The next population: parents and offspring compete, `toolbox.select` decides who survives.

    Parents are drawn by crowded binary tournament.  remutations: see `toolbox.breeding.offspring`.
    Individuals that are the same network as an earlier one are set aside before survival, and come
    back only where there are too few others, so that copies cannot fill the population.
    """
    probabilities = (crossover_probability, mutation_probability)
    parents = partial(crowded_tournament, population)
    return mu_plus_lambda(population, toolbox, parents, *probabilities, remutations)


def mu_plus_lambda(
    population: list,
    toolbox: base.Toolbox,
    parents: Parents,
    crossover_probability: float,
    mutation_probability: float,
    remutations: int,
) -> list:
    """As many children as there are individuals are bred of `parents`, and all compete."""
    probabilities = (crossover_probability, mutation_probability)
    children = offspring(toolbox, parents, len(population), *probabilities, remutations)
    evaluate_invalid(children, toolbox)
    return survivors(population + children, len(population), toolbox)


def survivors(individuals: list, count: int, toolbox: Any) -> list:
    """`count` that `toolbox.select` chooses, copies of others only where there are too few."""
    distinct, copies = without_copies(individuals, toolbox)
    missing = max(0, count - len(distinct))
    return toolbox.select(distinct, count - missing) + copies[:missing]


def without_copies(individuals: list, toolbox: Any) -> tuple[list, list]:
    """The first individual of each network, and the others."""
    first: dict[tuple, Any] = {}
    copies = []
    for individual in individuals:
        network = tuple(toolbox.canonical(individual))
        if network in first:
            copies.append(individual)
        else:
            first[network] = individual
    return list(first.values()), copies
