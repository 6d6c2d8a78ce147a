"""A table of trained networks, as it is kept in memory: plain dicts."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from problems.spaces.gene import Gene

Genome = tuple[int, ...]
Row = Mapping[str, float | tuple[float, ...]]


@dataclass(frozen=True)
class Table:
    """The networks of a table by their genomes.

    rows: what was measured of each; a tuple holds the same measure of several trainings.  labels:
    of each gene, how its choices are written in an architecture, with `separator` between genes.
    digest: of the file's content.  same_as: for each genome the one that stands for its network,
    where several genomes make one; empty where each makes its own.
    """

    genes: tuple[Gene, ...]
    rows: Mapping[Genome, Row]
    labels: tuple[tuple[str, ...], ...]
    separator: str
    digest: str
    same_as: Mapping[Genome, Genome] = field(default_factory=dict)

    def decode(self, genome: Sequence[int]) -> str:
        """The architecture of a genome, whether or not the table has it."""
        return self.separator.join(map(tuple.__getitem__, self.labels, genome))

    def canonical(self, genome: Sequence[int]) -> Genome:
        """The genome that stands for the network of a genome."""
        return self.same_as.get(tuple(genome), tuple(genome))

    @property
    def networks(self) -> int:
        """How many different networks it has."""
        return len(set(map(self.canonical, self.rows)))

    @cached_property
    def trainings(self) -> int:
        """How many trainings of each network it tells of: 1, or as many as its tuples hold."""
        runs = [
            len(value)
            for row in self.rows.values()
            for value in row.values()
            if type(value) is tuple
        ]
        return min(runs, default=1)

    @cached_property
    def genomes(self) -> dict[str, Genome]:
        """The genome of each architecture in the table."""
        return {self.decode(genome): genome for genome in self.rows}


def finite(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)
