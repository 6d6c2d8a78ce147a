"""NSGA-II's two selections (Deb et al., 2002): survival, and the crowded binary tournament."""

import random
from collections.abc import Sequence
from typing import Any

from deap import tools


def nsga2(individuals: Sequence[Any], k: int) -> list:
    """The k best by non-dominated front, within the last front by crowding distance."""
    return tools.selNSGA2(individuals, k)


def crowded_tournament(individuals: Sequence[Any], k: int) -> list:
    """k winners of binary tournaments: the better front, then the larger crowding distance.

    Everyone takes part equally often, in a new random order each round.  Any k and any number of
    individuals, unlike DEAP's selTournamentDCD.
    """
    rank: dict[int, int] = {}
    for number, front in enumerate(tools.sortNondominated(individuals, len(individuals))):
        tools.emo.assignCrowdingDist(front)
        rank |= {id(individual): number for individual in front}
    winners: list = []
    waiting: list = []
    while len(winners) < k:
        if len(waiting) < 2:
            waiting += random.sample(individuals, len(individuals))
        pair = [waiting.pop(), waiting.pop() if waiting else individuals[0]]
        # max keeps the first of equals, and the order is random.
        winners.append(max(pair, key=lambda one: (-rank[id(one)], one.fitness.crowding_dist)))
    return winners
