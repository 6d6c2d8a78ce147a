"""A gene: a named position of a genome and the values it can take."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Gene:
    """One position of a genome.  The genome holds an index into `choices`.

    >>> Gene("layer1.kernel", (3, 5, 7)).ordered
    True
    >>> Gene("layer1.activation", ("relu", "tanh")).ordered
    False
    """

    name: str
    choices: tuple

    @property
    def ordered(self) -> bool:
        """Whether neighbouring choices resemble each other: true of numbers."""
        return all(isinstance(choice, int | float) for choice in self.choices)
