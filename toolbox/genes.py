"""What several operators ask of genes: a genome, another choice, places to cut, kinds of parts."""

import random
from collections.abc import Sequence
from numbers import Real
from operator import lt
from typing import Any, Literal

from toolbox.operator_error import OperatorError
from toolbox.shelf import did_you_mean

Between = Literal["genes", "layers"]
MOST_GENOMES_DRAWN = 10_000  # until one breaks no rule of the space


_sizes: tuple[Any, list[int]] = ((), [])  # of the genes that were asked for last


def gene_sizes(space: Any) -> list[int]:
    """How many choices each gene of a space has."""
    global _sizes
    genes = space.genes
    if genes is not _sizes[0]:  # the same for every child of a search
        _sizes = genes, [len(gene.choices) for gene in genes]
    return _sizes[1]


def are_choices(genome: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether each integer is the number of one of its gene's choices."""
    return min(genome) >= 0 and all(map(lt, genome, sizes))


def is_ordered(gene: Any) -> bool:
    """Whether neighbouring choices of a gene resemble each other: as it says itself, or else if
    all of them are numbers."""
    own: bool | None = getattr(gene, "ordered", None)
    return all(isinstance(choice, Real) for choice in gene.choices) if own is None else own


def random_genome(space: Any) -> list[int]:
    """A genome of the space, each with the same probability.

    Genomes that break a rule of the space are drawn again.  Raises ValueError if none of 10,000
    draws is a network.
    """
    for _ in range(MOST_GENOMES_DRAWN):
        genome = [random.randrange(size) for size in gene_sizes(space)]
        reason = space.violation(genome)
        if not reason:
            return genome
    raise ValueError(
        f"problem.space: none of {MOST_GENOMES_DRAWN:,} random genomes is a network; the last: "
        f"{reason}"
    )


def another(index: int, choices: int) -> int:
    """A uniformly drawn index below `choices` that is not `index`."""
    drawn = random.randrange(choices - 1)
    return drawn + (drawn >= index)


def cut_points(space: Any, length: int, between: Between) -> list[int]:
    """Where a genome may be cut: after each gene or each layer, never at its ends."""
    if between == "genes":
        return list(range(1, length))
    ends = {boundary for slot in space.slots for boundary in (slot.start, slot.stop)}
    return sorted(ends - {0, length})


def checked_kinds(kinds: Sequence[str], space: Any) -> Sequence[str]:
    """The named kinds of parts, or all.  Raises OperatorError for one that the space has not."""
    for kind in kinds:
        if kind not in space.parts:
            raise OperatorError(
                f"kinds = {list(kinds)}: this space has no {kind!r}; legal: "
                f"{', '.join(space.parts)}{did_you_mean(kind, space.parts)}"
            )
    return kinds or list(space.parts)
