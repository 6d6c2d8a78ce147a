"""OneMax and LOTZ: problems whose answers are known, to test a search without training.

LeadingOnesTrailingZeros: Laumanns et al., 2002.  Its Pareto front is exactly the length + 1 strings
1...10...0, with leading_ones + trailing_zeros = length.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from problems.spaces.bit_string import BitString
from problems.spaces.gene import Positive


@dataclass(frozen=True)
class OneMax:
    """Count the ones of a string of `length` bits.

    >>> OneMax(length=3).evaluate([1, 0, 1])
    {'ones': 2.0}
    """

    length: Positive = 20
    space: BitString = field(init=False)
    measures: ClassVar = ("ones",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", BitString(self.length))

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        return {"ones": float(sum(genome))}


@dataclass(frozen=True)
class LeadingOnesTrailingZeros:
    """Count the ones before the first zero, and the zeros after the last one.

    >>> LeadingOnesTrailingZeros(length=4).evaluate([1, 1, 0, 0])
    {'leading_ones': 2.0, 'trailing_zeros': 2.0}
    """

    length: Positive = 20
    space: BitString = field(init=False)
    measures: ClassVar = ("leading_ones", "trailing_zeros")

    def __post_init__(self) -> None:
        object.__setattr__(self, "space", BitString(self.length))

    def evaluate(self, genome: list[int]) -> dict[str, float]:
        leading = next((at for at, bit in enumerate(genome) if not bit), len(genome))
        trailing = next((at for at, bit in enumerate(reversed(genome)) if bit), len(genome))
        return {"leading_ones": float(leading), "trailing_zeros": float(trailing)}
