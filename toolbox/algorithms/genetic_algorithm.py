"""The generational genetic algorithm with elitism (Holland, 1975; De Jong, 1975)."""

from functools import partial
from typing import Annotated

from annotated_types import Ge
from deap import base, tools

from toolbox.algorithm_facts import algorithm
from toolbox.breeding import Remutations, offspring
from toolbox.evaluation import evaluate_invalid
from toolbox.individual import Individual
from toolbox.operator_error import OperatorError
from toolbox.probability import Probability


@algorithm(
    parents="tournament",
    one_objective=True,
    children=lambda population, options: population - options["elite"],
)
def genetic_algorithm(
    population: list[Individual],
    toolbox: base.Toolbox,
    elite: Annotated[int, Ge(0)] = 1,
    immigrants: Probability = 0.0,
    crossover_probability: Probability = 0.9,
    mutation_probability: Probability = 0.2,
    remutations: Remutations = 10,
) -> list[Individual]:
    """The next population: the `elite` best as they are, the rest children of selected parents.

    immigrants: the share of the rest that is drawn at random instead (random immigrants,
    Grefenstette, 1992).  remutations: see `toolbox.breeding.offspring`.  For one objective.
    """
    if elite >= len(population):
        raise OperatorError(
            f"algorithm.elite = {elite}: it must be less than the population of {len(population)}"
        )
    kept: list[Individual] = tools.selBest(population, elite)
    places = len(population) - len(kept)
    fresh = [toolbox.individual() for _ in range(round(immigrants * places))]
    children = offspring(
        toolbox,
        partial(toolbox.select, population),
        places - len(fresh),
        crossover_probability,
        mutation_probability,
        remutations,
    )
    evaluate_invalid(children + fresh, toolbox)
    return kept + children + fresh
