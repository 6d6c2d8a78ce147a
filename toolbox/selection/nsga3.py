"""NSGA-III's survival: fronts, and niches around reference points (Deb & Jain, 2014)."""

import random
from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from math import comb
from typing import Annotated, Any

import numpy
from annotated_types import Ge
from deap import tools

from toolbox.fronts import non_dominated_fronts
from toolbox.operator_error import OperatorError

MOST_POINTS = 1_000_000


def nsga3(
    individuals: Sequence[Any], k: int, divisions: Annotated[int, Ge(1)] | None = None
) -> list[Any]:
    """The k best by non-dominated front, within the last front by the emptiest niche.

    divisions: of each objective's axis (p of Das & Dennis, 1998); by itself as many as give at most
    k reference points, such as 12 for three objectives and k = 100.  Objectives are scaled by the
    ideal point and the intercepts of the first front's extremes, so their units do not matter.

    The parts are DEAP's.  Its selNSGA3 takes the ideal point off the objectives for the intercepts
    but then off the intercepts again, so here the objectives are moved to it before.
    """
    fronts = non_dominated_fronts(individuals, k)
    *whole, last = fronts or [[]]
    chosen = list(chain(*whole))
    if len(chosen) + len(last) <= k:
        return chosen + last
    considered = [*chosen, *last]
    losses = -numpy.array([individual.fitness.wvalues for individual in considered])
    objectives = losses.shape[1]
    points = reference_points(objectives, divisions or most_divisions(objectives, k))
    with numpy.errstate(over="ignore", invalid="ignore", divide="ignore"):  # worsts near 1e300
        moved = losses - losses.min(axis=0)
        origin = numpy.zeros(objectives)
        first = moved[: len(fronts[0])]
        # Of the first front, so that the fitness of what is infeasible does not count.
        worst = first.max(axis=0)
        worst = numpy.where(worst > 0, worst, moved.max(axis=0))
        extremes = tools.emo.find_extreme_points(first, origin)
        intercepts = tools.emo.find_intercepts(extremes, origin, worst, worst)
        niches, distances = tools.emo.associate_to_niche(moved, points, origin, intercepts)
    filled = numpy.bincount(niches[: len(chosen)], minlength=len(points))
    at = len(chosen)
    # DEAP shuffles with numpy's global generator; all that steers a search comes from `random`.
    numpy.random.seed(random.getrandbits(32))
    room = k - len(chosen)
    in_niches: list[Any] = tools.emo.niching(last, room, niches[at:], distances[at:], filled)
    return chosen + in_niches


def most_divisions(objectives: int, points: int) -> int:
    """The most divisions of each axis that give at most the given number of points, at least 1.

    >>> most_divisions(objectives=3, points=100)
    12
    """
    if objectives == 1:
        return 1
    divisions = 1
    while comb(objectives + divisions, divisions + 1) <= points:
        divisions += 1
    return divisions


@lru_cache(maxsize=8)
def reference_points(objectives: int, divisions: int) -> numpy.ndarray:
    """Evenly spaced points of the unit simplex, (points, objectives) (Das & Dennis, 1998).

    Raises OperatorError for more than the memory may hold.
    """
    if (many := comb(objectives + divisions - 1, divisions)) > MOST_POINTS:
        raise OperatorError(
            f"nsga3: divisions = {divisions}: with {objectives} objectives these are {many:,} "
            f"reference points; at most {MOST_POINTS:,} are taken"
        )
    points: numpy.ndarray = tools.uniform_reference_points(objectives, divisions)
    return points
