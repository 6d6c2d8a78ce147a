"""Non-dominated fronts and crowding distances, as DEAP's, by moocore and numpy.

`deap.tools.sortNondominated` compares every two individuals in Python, which takes longer than all
else that a generation does.  The fronts here hold the same individuals in the same order, and the
distances are the same floats, so a search takes the same steps; tests hold both to it.  Of a few
individuals, such as a tournament's, DEAP's own are sooner at hand.
"""

from collections.abc import Sequence
from typing import Any

import moocore
import numpy
from deap.tools import emo

FEW = 8  # individuals that DEAP sorts sooner
MOST_COMPARED = 1_000_000  # pairs of points at a time


def non_dominated_fronts(individuals: Sequence[Any], k: int) -> list[list[Any]]:
    """The fronts, best first, until they hold k individuals (Deb et al., 2002)."""
    if k == 0:
        return []
    if len(individuals) <= FEW:
        few: list[list[Any]] = emo.sortNondominated(individuals, k)
        return few
    same: dict[tuple[float, ...], list[Any]] = {}
    for individual in individuals:
        same.setdefault(individual.fitness.wvalues, []).append(individual)
    losses = -numpy.array(list(same))
    rank = moocore.pareto_rank(losses)
    crowds = list(same.values())
    fronts: list[list[Any]] = []
    front = numpy.flatnonzero(rank == 0)
    while True:
        fronts.append([individual for number in front for individual in crowds[number]])
        k -= len(fronts[-1])
        if k <= 0 or len(fronts) > rank.max():
            return fronts
        following = numpy.flatnonzero(rank == len(fronts))
        last = _last_dominator(losses[front], losses[following])
        front = following[numpy.argsort(last, kind="stable")]


def _last_dominator(front: numpy.ndarray, following: numpy.ndarray) -> numpy.ndarray:
    """Where in a front the last point stands that dominates each point of the front behind it.

    front: (n, objectives), following: (m, objectives), no two points alike; returns (m,).  DEAP
    takes a point off its list when the last that dominates it has been dealt with, which
    decides the order in the next front.
    """
    if front.shape[1] == 2:
        return _last_in_range(front, following)
    last = []
    rows = max(1, MOST_COMPARED // len(front))
    for start in range(0, len(following), rows):
        points = following[start : start + rows, None]
        dominates = numpy.all(front <= points, axis=2)
        last.append(len(front) - 1 - dominates[:, ::-1].argmax(axis=1))
    return numpy.concatenate(last)


def _last_in_range(front: numpy.ndarray, following: numpy.ndarray) -> numpy.ndarray:
    """The same for two objectives in O((n + m) log n).

    Along the front one objective grows and the other falls, so those that dominate a point stand
    side by side; the last of each such range is the larger of two powers of two that cover it.
    """
    order = numpy.argsort(front[:, 0], kind="stable")
    x, y = front[order].T
    start = len(order) - numpy.searchsorted(y[::-1], following[:, 1], side="right")
    stop = numpy.searchsorted(x, following[:, 0], side="right")
    largest = [order]  # of the 1, 2, 4, ... from each place on
    for step in 2 ** numpy.arange(int(numpy.log2(len(order)))):
        row = largest[-1].copy()
        numpy.maximum(row[:-step], row[step:], out=row[:-step])
        largest.append(row)
    power = numpy.log2(stop - start).astype(int)
    table = numpy.array(largest)
    last: numpy.ndarray = numpy.maximum(table[power, start], table[power, stop - 2**power])
    return last


def assign_crowding_distances(fronts: Sequence[Sequence[Any]]) -> None:
    """Set `fitness.crowding_dist` of the individuals of each front, as `deap.tools.emo` does."""
    fitness = [individual.fitness for front in fronts for individual in front]
    if len(fitness) <= FEW:
        for front in fronts:
            emo.assignCrowdingDist(front)
        return
    values = numpy.array([one.wvalues for one in fitness]) / numpy.array(fitness[0].weights)
    distances = crowding_distances(values, [len(front) for front in fronts])
    for one, distance in zip(fitness, distances.tolist(), strict=True):
        one.crowding_dist = distance


def crowding_distances(
    values: numpy.ndarray, sizes: Sequence[int] | numpy.ndarray
) -> numpy.ndarray:
    """The crowding distance of each point, (n,), infinite at the ends of a front.

    values: (n, objectives), front after front; sizes: of the fronts.  Among equal values a
    point's neighbours are those of the order in which they come, as in DEAP.
    """
    number, objectives = values.shape
    front = numpy.repeat(numpy.arange(len(sizes)), sizes)
    ends = numpy.cumsum(sizes) - 1
    starts = ends - numpy.asarray(sizes) + 1
    inner = numpy.ones(number, dtype=bool)
    inner[starts] = inner[ends] = False
    distances = numpy.zeros(number)
    order = numpy.arange(number)
    with numpy.errstate(over="ignore", invalid="ignore"):  # the spread of values near 1e308
        for column in values.T:
            order = order[numpy.lexsort((column[order], front))]
            ordered = column[order]
            distances[order[starts]] = distances[order[ends]] = numpy.inf
            spread = (ordered[ends] - ordered[starts])[front]
            at = numpy.flatnonzero(inner & (spread != 0))
            gaps = ordered[at + 1] - ordered[at - 1]
            distances[order[at]] += gaps / (objectives * spread[at])
    return distances


def best_first(losses: numpy.ndarray, ranks: numpy.ndarray | None = None) -> numpy.ndarray:
    """The rows of losses (n, objectives), the best first: by front, then by crowding distance.

    ranks: the number of each row's front, if it is not to be told among these rows alone.

    >>> best_first(numpy.array([[3.0], [1.0], [2.0]]))
    array([1, 2, 0])
    """
    if ranks is None:
        ranks = moocore.pareto_rank(losses)
    order = numpy.argsort(ranks, kind="stable")
    _, sizes = numpy.unique(ranks, return_counts=True)
    distances = crowding_distances(losses[order], sizes)
    return order[numpy.lexsort((-distances, ranks[order]))]
