"""Uniform crossover (Syswerda, 1989)."""

import random

from toolbox.probability import Probability


def uniform(
    a: list[int], b: list[int], swap_probability: Probability = 0.5
) -> tuple[list[int], list[int]]:
    """Swap each gene between two parents independently.

    Works in place and returns both, as DEAP expects; genes keep their position.

    >>> uniform([0, 0], [1, 1], swap_probability=1.0)
    ([1, 1], [0, 0])
    """
    draw = random.random  # a search spends much of its own time in this loop
    for gene in range(len(a)):
        if draw() < swap_probability:
            a[gene], b[gene] = b[gene], a[gene]
    return a, b
