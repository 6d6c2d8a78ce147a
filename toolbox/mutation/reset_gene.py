"""Reset genes: each one independently takes another of its choices."""

import random
from typing import Any

from toolbox.genes import another, gene_sizes
from toolbox.probability import Probability


def reset_gene(
    individual: list[int], space: Any, gene_probability: Probability = 0.05
) -> tuple[list[int]]:
    """Give each gene, with `gene_probability`, another of its choices, all equally likely.

    Works in place.  A gene with a single choice stays.
    """
    draw = random.random  # a search spends much of its own time in this loop
    for position, size in enumerate(gene_sizes(space)):
        if size > 1 and draw() < gene_probability:
            individual[position] = another(individual[position], size)
    return (individual,)
