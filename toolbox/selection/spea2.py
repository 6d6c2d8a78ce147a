"""SPEA2's two selections (Zitzler, Laumanns & Thiele, 2001): survival, and the binary tournament.

By numpy: DEAP's selSPEA2 takes minutes to select 500 of 1,000, looks only at later individuals for
a density, and keeps no fitness for the tournament.
"""

import random
from collections.abc import Sequence
from typing import Any

import numpy


def spea2(individuals: Sequence[Any], k: int) -> list[Any]:
    """The k best by SPEA2's fitness, best first.

    Where more than k are non-dominated, those go one by one whose nearest neighbours are the
    nearest, which keeps the ends of the front.
    """
    if k == 0 or not individuals:
        return []
    fitness, points = spea2_fitness(individuals)
    if (fitness < 1).sum() <= k:
        return [individuals[number] for number in numpy.argsort(fitness, kind="stable")[:k]]
    front = numpy.flatnonzero(fitness < 1)
    return [individuals[front[number]] for number in truncated(points[front], k)]


def spea2_tournament(individuals: Sequence[Any], k: int) -> list[Any]:
    """k winners of binary tournaments with replacement, by SPEA2's fitness among them."""
    fitness, _ = spea2_fitness(individuals)
    # min keeps the first of equals, and the order is random.
    pairs = [random.choices(range(len(individuals)), k=2) for _ in range(k)]
    return [individuals[min(pair, key=fitness.__getitem__)] for pair in pairs]


def spea2_fitness(individuals: Sequence[Any]) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The fitness of each individual, (n,), less than 1 if it is not dominated; less is better.

    R(i) + 1 / (sigma_i + 2): R(i), the strengths of those that dominate i added up, a strength
    being how many one dominates; sigma_i, the distance to the neighbour number sqrt(n).  Also the
    points that distances are between, (n, objectives): losses in units of the spread of the
    non-dominated ones, because objectives have different units.  Compares each two: O(n^2).
    """
    losses = -numpy.array([individual.fitness.wvalues for individual in individuals])
    number = len(losses)
    no_worse = numpy.ones((number, number), dtype=bool)
    better = numpy.zeros((number, number), dtype=bool)
    for column in losses.T:
        no_worse &= column[:, None] <= column
        better |= column[:, None] < column
    dominates = no_worse & better
    strength = dominates.sum(axis=1)
    raw = strength @ dominates
    points = _scaled(losses, losses[raw == 0])
    neighbour = min(int(number**0.5), number - 1)  # number 0 is the individual itself
    sigma = numpy.partition(_distances(points), neighbour, axis=1)[:, neighbour]
    return raw + 1 / (sigma + 2), points


def _scaled(losses: numpy.ndarray, front: numpy.ndarray) -> numpy.ndarray:
    with numpy.errstate(over="ignore"):  # worsts near 1e300; what is far away may be infinitely far
        spread = numpy.ptp(front, axis=0)
        spread[(spread == 0) | ~numpy.isfinite(spread)] = 1
        scaled = (losses - front.min(axis=0)) / spread
    points: numpy.ndarray = numpy.clip(scaled, 0, 1e100)  # squares of it are finite
    return points


def _distances(points: numpy.ndarray) -> numpy.ndarray:
    """Between each two of the points (n, objectives): (n, n)."""
    from scipy.spatial.distance import cdist  # each search would wait for its import

    distances: numpy.ndarray = cdist(points, points)
    return distances


def truncated(points: numpy.ndarray, k: int) -> numpy.ndarray:
    """The numbers of the k points that are left, ascending.  points: (n, objectives), n > k.

    Copies of a point go first, of the most numerous one each time; then the point that is nearest
    to its nearest neighbour, if that is equal to its second nearest, and so on.
    """
    _, group, copies = numpy.unique(points, axis=0, return_inverse=True, return_counts=True)
    group = group.ravel()
    left = numpy.ones(len(points), dtype=bool)
    excess = len(points) - k
    while excess and copies.max() > 1:
        most = copies.argmax()
        left[numpy.flatnonzero(left & (group == most))[-1]] = False
        copies[most] -= 1
        excess -= 1
    if not excess:
        return numpy.flatnonzero(left)
    distances = _distances(points)
    numpy.fill_diagonal(distances, numpy.inf)
    distances[:, ~left] = numpy.inf
    distances[~left] = numpy.inf
    nearest = distances.min(axis=1)
    for _ in range(excess):
        tied = numpy.flatnonzero(left & (nearest == nearest[left].min()))
        gone = tied[numpy.lexsort(numpy.sort(distances[tied], axis=1).T[::-1])[0]]
        left[gone] = False
        affected = numpy.flatnonzero(left & (distances[:, gone] == nearest))
        distances[:, gone] = distances[gone] = numpy.inf
        nearest[affected] = distances[affected].min(axis=1)
    return numpy.flatnonzero(left)
