"""Strings of bits, the space of the torch-free test problems."""

from dataclasses import dataclass
from functools import cached_property

from problems.spaces.gene import Gene, Positive


@dataclass(frozen=True)
class BitString:
    """All strings of `length` bits.

    >>> BitString(4).decode([0, 1, 1, 0])
    '0110'
    """

    length: Positive = 20

    @cached_property
    def genes(self) -> tuple[Gene, ...]:
        return tuple(Gene(f"bit{number}", (0, 1)) for number in range(1, self.length + 1))

    @cached_property
    def slots(self) -> tuple[slice, ...]:
        return tuple(slice(bit, bit + 1) for bit in range(self.length))

    @cached_property
    def parts(self) -> dict[str, tuple[tuple[int, ...], ...]]:
        return {"bits": tuple((bit,) for bit in range(self.length))}

    def decode(self, genome: list[int]) -> str:
        return "".join(["1" if bit else "0" for bit in genome])

    def encode(self, architecture: str) -> list[int]:
        """The bits of a string.  Raises ValueError if it is not `length` of 0 and 1."""
        if len(architecture) != self.length or not set(architecture) <= {"0", "1"}:
            raise ValueError(f"{architecture!r} is not a string of {self.length} bits")
        return [int(bit) for bit in architecture]

    def canonical(self, genome: list[int]) -> list[int]:
        return list(genome)

    def violation(self, genome: list[int]) -> str:
        return ""
