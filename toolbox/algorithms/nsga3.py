"""NSGA-III (Deb & Jain, 2014), one generation a call."""

import random
from functools import partial

from deap import base

from toolbox.algorithm_facts import algorithm, offspring_or_population
from toolbox.breeding import Offspring, Remutations
from toolbox.individual import Individual
from toolbox.probability import Probability
from toolbox.survival import mu_plus_lambda


@algorithm(select="nsga3", children=offspring_or_population)
def nsga3(
    population: list[Individual],
    toolbox: base.Toolbox,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 1.0,
    remutations: Remutations = 10,
    offspring: Offspring = None,
) -> list[Individual]:
    """The next population: parents and offspring compete, `toolbox.select` decides who survives.

    `toolbox.select` is `nsga3` unless another is declared.  Parents are drawn at random, each
    equally often.  remutations: see `toolbox.breeding.offspring`.  Copies of a network are set
    aside as in `nsga2`.
    """
    probabilities = (crossover_probability, mutation_probability)
    parents = partial(_at_random, population)
    return mu_plus_lambda(population, toolbox, parents, *probabilities, remutations, offspring)


def _at_random(population: list[Individual], count: int) -> list[Individual]:
    """`count` of them, everyone once before anyone twice."""
    drawn: list[Individual] = []
    while len(drawn) < count:
        drawn += random.sample(population, min(len(population), count - len(drawn)))
    return drawn
