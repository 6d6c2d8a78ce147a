"""Roulette-wheel selection (Holland, 1975), on raw, shifted or ranked fitness."""

import random
from collections.abc import Sequence
from typing import Any, Literal

from toolbox.objectives.objective import Objective
from toolbox.operator_error import OperatorError


def roulette(
    individuals: Sequence[Any],
    k: int,
    objectives: Sequence[Objective],
    scaling: Literal["raw", "shifted", "ranked"] = "raw",
) -> list[Any]:
    """k individuals, each drawn in proportion to its share of the wheel.

    "raw": the fitness as it is, which must be maximized and not negative.  "shifted": its distance
    to the worst of the individuals, plus a tenth of the spread so that the worst has a share.
    "ranked": worst 1, next 2, and so on (linear ranking, Baker, 1985).  Individuals that failed
    or violate a bound have no share unless all do.  Raises OperatorError where the scaling does not
    apply.
    """
    if len(objectives) > 1:
        raise OperatorError(
            f"toolbox.select: roulette takes one objective, not {len(objectives)}; "
            "for several use nsga2 or tournament"
        )
    (objective,) = objectives
    worst = objective.worst * objective.weight
    if scaling == "raw" and objective.direction == "minimize":
        raise OperatorError(
            f"toolbox.select.scaling = 'raw': {objective.name} is minimized, and the wheel gives "
            "the largest share to the largest; legal: shifted, ranked"
        )
    sound = [i for i in individuals if i.fitness.values[0] * objective.weight > worst]
    if not sound:
        return random.choices(individuals, k=k)
    return random.choices(sound, weights=shares(sound, objective, scaling), k=k)


def shares(individuals: Sequence[Any], objective: Objective, scaling: str) -> list[float]:
    """The wheel's share of each individual, not normalized."""
    fitness = [individual.fitness.values[0] * objective.weight for individual in individuals]
    low, high = min(fitness), max(fitness)
    if scaling == "raw":
        if low < 0:
            raise OperatorError(
                f"toolbox.select.scaling = 'raw': {objective.name} is {low:g}, and a share of the "
                "wheel cannot be negative; legal: shifted, ranked"
            )
        return fitness if high > 0 else [1.0] * len(fitness)
    if low == high:
        return [1.0] * len(fitness)
    if scaling == "shifted":
        return [value - low + (high - low) / 10 for value in fitness]
    order = sorted(set(fitness))
    return [1.0 + order.index(value) for value in fitness]
