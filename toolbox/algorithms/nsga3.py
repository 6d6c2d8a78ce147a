"""NSGA-III (Deb & Jain, 2014), one generation a call."""

import random

from deap import algorithms, base

from toolbox.algorithms.nsga2 import survivors
from toolbox.evaluation import evaluate_invalid
from toolbox.probability import Probability


def nsga3(
    population: list,
    toolbox: base.Toolbox,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 1.0,
) -> list:
    """The next population: parents and offspring compete, `toolbox.select` decides who survives.

    `toolbox.select` is `nsga3` unless another is declared.  Parents are drawn at random, each once.
    Copies of a network are set aside as in `nsga2`.
    """
    parents = random.sample(population, len(population))
    offspring = algorithms.varAnd(parents, toolbox, crossover_probability, mutation_probability)
    evaluate_invalid(offspring, toolbox)
    return survivors(population + offspring, len(population), toolbox)
