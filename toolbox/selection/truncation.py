"""Truncation selection (Muehlenbein & Schlierkamp-Voosen, 1993): the best share are the parents."""

import random
from collections.abc import Sequence
from math import ceil
from typing import Annotated, Any

from annotated_types import Gt, Le
from deap import tools


def truncation(
    individuals: Sequence[Any], k: int, share: Annotated[float, Gt(0), Le(1)] = 0.5
) -> list[Any]:
    """k parents from the best `share` of the individuals, each equally often, in random order.

    At least one individual is taken.  Several objectives are compared in their declared order.
    """
    best = tools.selBest(individuals, ceil(share * len(individuals)))
    rounds = -(-k // len(best))
    return [parent for _ in range(rounds) for parent in random.sample(best, len(best))][:k]
