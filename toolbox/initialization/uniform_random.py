"""Genomes drawn uniformly from the space."""

from typing import Any

from toolbox.genes import random_genome


def uniform_random(space: Any) -> list[int]:
    """A genome of the space, each with the same probability; ValueError if there seems to be none.

    Genomes that break a rule of the space are drawn again.
    """
    return random_genome(space)
