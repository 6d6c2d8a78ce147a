"""Random search, the baseline that every search is measured against."""

from deap import base

from toolbox.evaluation import evaluate_invalid
from toolbox.individual import Individual
from toolbox.selection.nsga2 import nsga2
from toolbox.survival import without_copies


def random_search(population: list[Individual], toolbox: base.Toolbox) -> list[Individual]:
    """The best of the population and as many new random individuals.

    Best by non-dominated front and crowding distance, which for one objective is by fitness.
    """
    drawn = [toolbox.individual() for _ in population]
    evaluate_invalid(drawn, toolbox)
    distinct, copies = without_copies(population + drawn, toolbox)
    return (nsga2(distinct, len(population)) + copies)[: len(population)]
