"""Tournament selection (Brindle, 1981)."""

from collections.abc import Sequence
from typing import Annotated, Any

from annotated_types import Ge
from deap import tools


def tournament(individuals: Sequence[Any], k: int, size: Annotated[int, Ge(1)] = 3) -> list[Any]:
    """The best of `size` individuals drawn with replacement, k times.

    Several objectives are compared in their declared order, the first one first.
    """
    winners: list[Any] = tools.selTournament(individuals, k, tournsize=size)
    return winners
