"""NSGA-II (Deb, Pratap, Agarwal & Meyarivan, 2002), one generation a call."""

from functools import partial

from deap import base

from toolbox.algorithm_facts import algorithm, offspring_or_population
from toolbox.breeding import Offspring, Remutations
from toolbox.individual import Individual
from toolbox.probability import Probability
from toolbox.selection.nsga2 import crowded_tournament
from toolbox.survival import mu_plus_lambda


@algorithm(select="nsga2", children=offspring_or_population)
def nsga2(
    population: list[Individual],
    toolbox: base.Toolbox,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 1.0,
    remutations: Remutations = 10,
    offspring: Offspring = None,
) -> list[Individual]:
    """The next population: parents and offspring compete, `toolbox.select` decides who survives.

    Parents are drawn by crowded binary tournament.  remutations: see `toolbox.breeding.offspring`.
    Individuals that are the same network as an earlier one are set aside before survival, and come
    back only where there are too few others, so that copies cannot fill the population.
    """
    probabilities = (crossover_probability, mutation_probability)
    parents = partial(crowded_tournament, population)
    return mu_plus_lambda(population, toolbox, parents, *probabilities, remutations, offspring)
