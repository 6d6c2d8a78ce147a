"""Reset genes: each one independently takes another of its choices."""

import random
from typing import Any

from toolbox.genes import another
from toolbox.probability import Probability


def reset_gene(
    individual: list[int], space: Any, gene_probability: Probability = 0.05
) -> tuple[list[int]]:
    """Give each gene, with `gene_probability`, another of its choices, all equally likely.

    Works in place.  A gene with a single choice stays.
    """
    for position, gene in enumerate(space.genes):
        if len(gene.choices) > 1 and random.random() < gene_probability:
            individual[position] = another(individual[position], len(gene.choices))
    return (individual,)
