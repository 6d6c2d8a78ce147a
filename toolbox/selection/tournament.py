"""Tournament selection (Brindle, 1981)."""

from collections.abc import Sequence
from typing import Any

from deap import tools

from toolbox.drawn import Drawn


def tournament(individuals: Sequence[Any], k: int, size: Drawn = 3) -> list[Any]:
    """The best of `size` individuals drawn with replacement, k times.

    Several objectives are compared in their declared order, the first one first.
    """
    winners: list[Any] = tools.selTournament(individuals, k, tournsize=size)
    return winners
