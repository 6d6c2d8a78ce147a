"""The generational genetic algorithm with elitism (Holland, 1975; De Jong, 1975)."""

from typing import Annotated

from annotated_types import Ge
from deap import algorithms, base, tools

from toolbox.evaluation import evaluate_invalid
from toolbox.probability import Probability


def genetic_algorithm(
    population: list,
    toolbox: base.Toolbox,
    elite: Annotated[int, Ge(0)] = 1,
    immigrants: Probability = 0.0,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 0.2,
) -> list:
    """The next population: the `elite` best as they are, the rest children of selected parents.

    immigrants: the share of the rest that is drawn at random instead (random immigrants,
    Grefenstette, 1992).  For one objective.
    """
    kept = tools.selBest(population, elite)
    places = len(population) - len(kept)
    fresh = [toolbox.individual() for _ in range(round(immigrants * places))]
    parents = toolbox.select(population, places - len(fresh))
    offspring = algorithms.varAnd(parents, toolbox, crossover_probability, mutation_probability)
    evaluate_invalid(offspring + fresh, toolbox)
    return kept + offspring + fresh
