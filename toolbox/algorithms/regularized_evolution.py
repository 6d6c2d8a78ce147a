"""Regularized evolution: the oldest dies (Real, Aggarwal, Huang & Le, 2019)."""

import random
from typing import Annotated

from annotated_types import Ge
from deap import base

from toolbox.breeding import Remutations, offspring
from toolbox.drawn import Drawn
from toolbox.individual import Individual
from toolbox.probability import Probability


def regularized_evolution(
    population: list[Individual],
    toolbox: base.Toolbox,
    generations: int,
    sample: Drawn = 5,
    crossover_probability: Probability = 0.0,
    mutation_probability: Probability = 1.0,
    remutations: Remutations = 10,
    in_flight: Annotated[int, Ge(1)] | None = None,
) -> list[Individual]:
    """The population, the oldest first, after as many children as it has individuals.

    A child's parent is the best, by `toolbox.select`, of `sample` individuals that are drawn with
    replacement; the child comes last, and the first one dies, however good it is.  As in the paper
    a child is bred as soon as a worker is free.  in_flight: see `steady_state`.
    """
    alive = list(population)
    size = len(population)

    def parents(count: int) -> list[Individual]:
        return [toolbox.select(random.choices(alive, k=sample), 1)[0] for _ in range(count)]

    def breed(count: int) -> list[Individual]:
        probabilities = (crossover_probability, mutation_probability)
        return offspring(toolbox, parents, count, *probabilities, remutations)

    for child in toolbox.stream(in_flight).children(breed, size, most=generations * size):
        alive = [*alive[1:], child]
    return alive
