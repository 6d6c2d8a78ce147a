"""Every `toolbox.register` of a search, on one screen."""

import itertools
import random
from functools import partial
from typing import Any

from deap import tools

from toolbox.archive import Archive
from toolbox.declaration import Declaration
from toolbox.evaluation import Evaluator, evaluate_invalid
from toolbox.guarded_toolbox import GuardedToolbox
from toolbox.individual import Individual
from toolbox.measure import Problem
from toolbox.signature import Chosen


def assemble(declaration: Declaration, problem: Problem, archive: Archive) -> GuardedToolbox:
    """The DEAP toolbox of a declaration: register another operator under an alias to swap it.

    Raises ValueError for objectives that the problem does not measure.
    """
    _check_measured(declaration, problem)
    evaluator = Evaluator(problem, declaration.objectives, archive)
    evaluator.limit = declaration.stop.evaluations
    toolbox = GuardedToolbox(evaluator)
    given = {
        "space": problem.space,
        "population": toolbox.population_now,
        "objectives": declaration.objectives,
    }
    chosen = declaration.toolbox

    draw = partial(_draw, chosen["individual"], given, itertools.count(), declaration.objectives)
    toolbox.register("individual", draw)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    for alias in ("mate", "mutate", "select"):
        toolbox.register(alias, chosen[alias].target, **chosen[alias].arguments(given))
    toolbox.register("canonical", problem.space.canonical)
    toolbox.register("evaluate", evaluator.evaluate)
    toolbox.backend = chosen["map"].build(threads=getattr(problem, "threads", 1))
    toolbox.register("map", toolbox.backend)
    toolbox.register("evolve", declaration.algorithm.target, **declaration.algorithm.options)
    return toolbox


def _draw(initialize: Chosen, given: dict[str, Any], drawn: Any, objectives: Any) -> Individual:
    genome = initialize.build(**given, index=next(drawn))
    return Individual(genome, weights=[objective.weight for objective in objectives])


def rehearse(declaration: Declaration, problem: Problem) -> None:
    """Draw a first population and evolve it once, with every evaluation left out.

    What is wrong with an operator shows here, before the first network trains and before anything
    is written.
    """
    toolbox = assemble(declaration, problem, Archive({}))
    state = random.getstate()
    worst = tuple(objective.worst for objective in declaration.objectives)
    toolbox.register("evaluate", lambda individual: worst)
    try:
        population = toolbox.population(n=declaration.population)
        evaluate_invalid(population, toolbox)
        toolbox.population_now[:] = population
        # Once outside the algorithm too, whose probabilities may pass an operator by.
        toolbox.mate(*(toolbox.clone(random.choice(population)) for _ in range(2)))
        toolbox.mutate(toolbox.clone(population[0]))
        toolbox.select(population, len(population))
        toolbox.evolve(population, toolbox)
    finally:
        random.setstate(state)
        toolbox.backend.close()


def _check_measured(declaration: Declaration, problem: Problem) -> None:
    measures = getattr(problem, "measures", None)
    for number, objective in enumerate(declaration.objectives):
        for name in objective.needs:
            if measures is not None and name not in measures:
                raise ValueError(
                    f"objectives[{number}] = {objective.name!r}: it needs {name!r}, which this "
                    f"problem does not measure here; it measures {', '.join(measures)}"
                )
