"""A gene: a named position of a genome and the values it can take."""

from dataclasses import dataclass
from typing import Annotated, Any

from annotated_types import Ge, Le

# Larger ones are slips of the hand, and would fill the memory before anything is refused.
Positive = Annotated[int, Ge(1), Le(1_000_000)]
Layers = Annotated[int, Ge(0), Le(1_000)]
SomeLayers = Annotated[int, Ge(1), Le(1_000)]


@dataclass(frozen=True)
class Gene:
    """One position of a genome.  The genome holds an index into `choices`.

    >>> Gene("layer1.kernel", (3, 5, 7)).ordered
    True
    >>> Gene("layer1.activation", ("relu", "tanh")).ordered
    False
    """

    name: str
    choices: tuple[Any, ...]

    @property
    def ordered(self) -> bool:
        """Whether neighbouring choices resemble each other: true of numbers."""
        return all(isinstance(choice, int | float) for choice in self.choices)


def choice_of(gene: Gene, value: Any, architecture: str) -> int:
    """The index of a value among a gene's choices.

    Raises ValueError that names the gene, the architecture it stands in and what is legal.
    """
    if value not in gene.choices:
        raise ValueError(
            f"{gene.name} = {value} of {architecture!r} is not in this space; "
            f"legal: {', '.join(map(str, gene.choices))}"
        )
    return gene.choices.index(value)
