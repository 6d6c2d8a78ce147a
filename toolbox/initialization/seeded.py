"""Start from given architectures; the rest of the population is random."""

from collections.abc import Sequence
from typing import Any

from toolbox.genes import random_genome


def seeded(space: Any, index: int, genomes: Sequence[str]) -> list[int]:
    """The genome of `genomes[index]`, an architecture in the space's notation, or a random one.

    index: how many individuals were drawn before.  Raises ValueError for an architecture that is
    not in the space.
    """
    if index < len(genomes):
        try:
            genome: list[int] = space.encode(genomes[index])
            return genome
        except ValueError as error:
            raise ValueError(f"genomes[{index}]: {error}") from error
    return random_genome(space)
