"""NSGA-II's two selections (Deb et al., 2002): survival, and the crowded binary tournament."""

import random
from collections.abc import Sequence
from itertools import chain
from typing import Any

from toolbox.fronts import assign_crowding_distances, non_dominated_fronts


def nsga2(individuals: Sequence[Any], k: int) -> list[Any]:
    """The k best by non-dominated front, within the last front by crowding distance.

    The same individuals in the same order as `deap.tools.selNSGA2`.
    """
    fronts = non_dominated_fronts(individuals, k)
    assign_crowding_distances(fronts)
    *whole, last = fronts or [[]]
    chosen = list(chain(*whole))
    last = sorted(last, key=lambda one: one.fitness.crowding_dist, reverse=True)
    return chosen + last[: k - len(chosen)]


def crowded_tournament(individuals: Sequence[Any], k: int) -> list[Any]:
    """k winners of binary tournaments: the better front, then the larger crowding distance.

    Everyone takes part equally often, in a new random order each round.  Any k and any number of
    individuals, unlike DEAP's selTournamentDCD.
    """
    fronts = non_dominated_fronts(individuals, len(individuals))
    assign_crowding_distances(fronts)
    rank = {id(individual): number for number, front in enumerate(fronts) for individual in front}
    winners: list[Any] = []
    waiting: list[Any] = []
    while len(winners) < k:
        if len(waiting) < 2:
            waiting += random.sample(individuals, len(individuals))
        pair = [waiting.pop(), waiting.pop() if waiting else individuals[0]]
        # max keeps the first of equals, and the order is random.
        winners.append(max(pair, key=lambda one: (-rank[id(one)], one.fitness.crowding_dist)))
    return winners
