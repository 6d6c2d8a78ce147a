"""Shift genes: an ordered gene moves to a neighbouring choice."""

import random
from typing import Any

from toolbox.genes import another
from toolbox.probability import Probability


def shift_gene(
    individual: list[int], space: Any, gene_probability: Probability = 0.05
) -> tuple[list[int]]:
    """Move each ordered gene, with `gene_probability`, one choice up or down.

    At an end it moves inwards.  A gene whose choices have no order is reset to another one.
    Works in place.
    """
    for position, gene in enumerate(space.genes):
        last = len(gene.choices) - 1
        if last > 0 and random.random() < gene_probability:
            index = individual[position]
            if not gene.ordered:
                individual[position] = another(index, len(gene.choices))
            elif index in (0, last):
                individual[position] = 1 if index == 0 else last - 1
            else:
                individual[position] = index + random.choice((-1, 1))
    return (individual,)
