"""Replace a layer by a layer from anywhere in the population (reference: genome-string GA)."""

import random
from collections.abc import Sequence
from typing import Any


def layer_from_population(
    individual: list[int], space: Any, population: Sequence[list[int]]
) -> tuple[list[int]]:
    """Copy the genes of one random layer of a random individual over one random layer.

    population: the last generation's individuals.  Works in place.  With an empty population
    nothing changes.
    """
    if population:
        donor = random.choice(population)
        source, target = random.choice(space.slots), random.choice(space.slots)
        individual[target] = donor[source]
    return (individual,)
