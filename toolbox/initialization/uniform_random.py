"""Genomes drawn uniformly from the space."""

import random
from typing import Any

DRAWS = 10_000


def uniform_random(space: Any) -> list[int]:
    """A genome of the space, each with the same probability.

    Genomes that break a rule of the space are drawn again.  Raises ValueError if none of 10,000
    draws is a network.
    """
    for _ in range(DRAWS):
        genome = [random.randrange(len(gene.choices)) for gene in space.genes]
        reason = space.violation(genome)
        if not reason:
            return genome
    raise ValueError(
        f"problem.space: none of {DRAWS:,} random genomes is a network; the last: {reason}"
    )
