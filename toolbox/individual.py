"""DEAP individuals for the declared objectives, as plain classes.

Not `deap.creator`: its classes are made anew by every unpickling, and two searches with different
objectives must fit in one process.  So the weights belong to the fitness, not to its class.
"""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from typing import Any

from deap import base

ORIGIN = {"born", "made_by", "made_of"}


class Fitness(base.Fitness):  # type: ignore[misc, unused-ignore]  # DEAP has no types
    """A `deap.base.Fitness` whose weights (+1 maximize, -1 minimize) are its own."""

    def __init__(self, weights: Sequence[float], values: Sequence[float] = ()):
        self.weights = tuple(weights)
        super().__init__(values)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Fitness":
        copy = type(self).__new__(type(self))
        copy.weights, copy.wvalues = self.weights, self.wvalues
        return copy


class Individual(list[int]):
    """A genome, a list of small ints, with a fitness, and where it came from (see lineage.py).

    >>> individual = Individual([0, 2, 1], weights=(1.0, -1.0))
    >>> individual.fitness.values = (0.9, 3264.0)
    >>> individual, individual.fitness.values
    ([0, 2, 1], (0.9, 3264.0))
    """

    fitness: Fitness
    born: int | None = None  # the number of its birth, once it was evaluated
    made_by: tuple[str, ...] = ()  # until then, the operators that changed it
    made_of: tuple[int, ...] = ()  # and the births that it was made of

    def __init__(self, genome: Iterable[int], weights: Sequence[float]):
        super().__init__(genome)
        self.fitness = Fitness(weights)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Individual":
        """What `copy.deepcopy` would make, sooner: it clones every parent, and neither genes nor
        origin can change."""
        copy = type(self).__new__(type(self))
        memo[id(self)] = copy
        copy.extend(self)
        notes = vars(copy)
        for name, value in vars(self).items():
            if name in ORIGIN:
                notes[name] = value
            elif type(value) is Fitness:
                notes[name] = value.__deepcopy__(memo)
            else:
                notes[name] = deepcopy(value, memo)
        return copy


def clone(individual: Any) -> Any:
    """A deep copy, as `toolbox.clone` makes it."""
    if type(individual) is Individual:
        return individual.__deepcopy__({})
    return deepcopy(individual)
