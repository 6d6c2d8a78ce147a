"""Shift genes: an ordered gene moves to a neighbouring choice."""

import random
from typing import Any

from toolbox.genes import another, gene_sizes, is_ordered
from toolbox.probability import Probability


def shift_gene(
    individual: list[int], space: Any, gene_probability: Probability = 0.05
) -> tuple[list[int]]:
    """Move each ordered gene, with `gene_probability`, one choice up or down.

    At an end it moves inwards.  A gene whose choices have no order is reset to another one.
    Works in place.
    """
    draw = random.random  # a search spends much of its own time in this loop
    for position, size in enumerate(gene_sizes(space)):
        if size > 1 and draw() < gene_probability:
            index, last = individual[position], size - 1
            if not is_ordered(space.genes[position]):
                individual[position] = another(index, size)
            elif index in (0, last):
                individual[position] = 1 if index == 0 else last - 1
            else:
                individual[position] = index + random.choice((-1, 1))
    return (individual,)
