"""An asynchronous steady-state algorithm: a child is bred as soon as a worker is free.

(mu + 1) survival by fronts and crowding, as a steady-state NSGA-II (Durillo et al., 2009).
"""

from functools import partial
from typing import Annotated

from annotated_types import Ge
from deap import base

from toolbox.breeding import Remutations, offspring
from toolbox.individual import Individual
from toolbox.probability import Probability
from toolbox.selection.nsga2 import crowded_tournament
from toolbox.survival import survivors


def steady_state(
    population: list[Individual],
    toolbox: base.Toolbox,
    generations: int,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 1.0,
    remutations: Remutations = 10,
    in_flight: Annotated[int, Ge(1)] | None = None,
) -> list[Individual]:
    """The population after as many children as it has individuals, with no barrier between them.

    Each child that becomes known competes with the population, and `toolbox.select` decides who
    survives, as in `nsga2`; then the next one is bred.  No worker waits for another.

    in_flight: how many children are on their way at once; by itself as many as the workers hold
    when the search is begun.  With the order in the archive it decides what is bred, so that a
    continued search takes the same steps.
    """
    alive = list(population)
    size = len(population)

    def breed(count: int) -> list[Individual]:
        parents = partial(crowded_tournament, alive)
        probabilities = (crossover_probability, mutation_probability)
        return offspring(toolbox, parents, count, *probabilities, remutations)

    for child in toolbox.stream(in_flight).children(breed, size, most=generations * size):
        alive = survivors([*alive, child], size, toolbox)
    return alive
