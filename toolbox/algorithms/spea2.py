"""SPEA2 (Zitzler, Laumanns & Thiele, 2001), one generation a call."""

from functools import partial

from deap import base

from toolbox.algorithm_facts import algorithm, offspring_or_population
from toolbox.breeding import Offspring, Remutations
from toolbox.individual import Individual
from toolbox.probability import Probability
from toolbox.selection.spea2 import spea2_tournament
from toolbox.survival import mu_plus_lambda


@algorithm(select="spea2", children=offspring_or_population)
def spea2(
    population: list[Individual],
    toolbox: base.Toolbox,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 1.0,
    remutations: Remutations = 10,
    offspring: Offspring = None,
) -> list[Individual]:
    """The next population, SPEA2's archive: it and its offspring compete, `toolbox.select` decides.

    `toolbox.select` is `spea2` unless another is declared.  Parents are drawn by binary tournament
    on SPEA2's fitness.  remutations: see `toolbox.breeding.offspring`.  Copies of a network are set
    aside as in `nsga2`.
    """
    probabilities = (crossover_probability, mutation_probability)
    parents = partial(spea2_tournament, population)
    return mu_plus_lambda(population, toolbox, parents, *probabilities, remutations, offspring)
