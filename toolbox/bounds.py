"""Hard bounds on what a network may cost, and how far a network is beyond them."""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

# As the makers of memory chips and microcontrollers count: a KB is 1024 bytes, with or without "i".
SIZE = re.compile(
    r"\s*(\d[\d_]*(?:\.\d+)?)\s*(B|bytes|K(?:i?B)?|M(?:i?B)?|G(?:i?B)?)\s*", re.IGNORECASE
)
UNITS = {"B": 1, "K": 1024, "M": 1024**2, "G": 1024**3}


def bytes_of(size: str) -> float:
    """The bytes of a size as people write it; 1 KB is 1024 bytes, and so is 1 KiB.

    Raises ValueError for what is no size.

    >>> bytes_of("96 KB"), bytes_of("0.5 MiB"), bytes_of("512 bytes")
    (98304.0, 524288.0, 512.0)
    """
    found = SIZE.fullmatch(size)
    if not found:
        raise ValueError(
            f"{size!r}: a number of bytes or a size such as '96 KB' is needed (1 KB = 1024 bytes; "
            "B, KB, MB and GB are legal)"
        )
    number, unit = found.groups()
    return float(number.replace("_", "")) * UNITS[unit[0].upper()]


@dataclass(frozen=True)
class Bounds:
    """Upper bounds on names of a measurement, and on objectives that are functions of one.

    redraws: how often a child that is known to be beyond them is drawn again, before it is
    recorded as infeasible.  views: of the names that are no measured ones, what they are.
    """

    limits: Mapping[str, float] = field(default_factory=dict)
    redraws: int = 20
    views: Mapping[str, Callable[[Mapping[str, float]], float]] = field(default_factory=dict)

    @property
    def measured(self) -> "Bounds":
        """Those on measured names alone, which can be sent to wherever it is measured."""
        limits = {name: limit for name, limit in self.limits.items() if name not in self.views}
        return Bounds(limits, self.redraws)

    def value(self, name: str, measurement: Mapping[str, float]) -> float | None:
        """What a bound is held against; None if a measurement does not tell it."""
        view = self.views.get(name)
        if view is None:
            return measurement.get(name)
        try:
            value = view(measurement)
        except Exception:  # of a part of a measurement; of a whole one the objective tells why
            return None
        return None if math.isnan(value) else value

    def violation(self, measurement: Mapping[str, float]) -> float:
        """How far a measurement is beyond the bounds: the relative excesses added up, 0 if within.

        What is not known counts as within.

        >>> Bounds({"params": 1000, "macs": 2e6}).violation({"params": 1500, "macs": 1e6})
        0.5
        """
        if not self.limits:
            return 0.0
        return sum(
            max(0.0, value / limit - 1)
            for name, limit in self.limits.items()
            if (value := self.value(name, measurement)) is not None
        )

    def reason(self, measurement: Mapping[str, float]) -> str:
        """The bounds that are violated, in words.

        >>> Bounds({"params": 1000}).reason({"params": 1500})
        'params = 1,500, at most 1,000'
        """
        if not self.limits:
            return ""
        return "; ".join(
            f"{name} = {value:,g}, at most {limit:,g}"
            for name, limit in self.limits.items()
            if (value := self.value(name, measurement)) is not None and value > limit
        )


def closest(
    genome: list[int], space: Any, known: Callable[[list[int]], Mapping[str, float]], bounds: Bounds
) -> list[int]:
    """The genome that is least beyond the bounds of those found by changing one gene at a time.

    Starts at `genome` and takes the best choice of each gene in turn until no gene helps; stops at
    the first genome within the bounds.  Genomes that break a rule of the space are passed over.
    """
    best, least = list(genome), bounds.violation(known(genome))
    improved = True
    while improved and least:
        improved = False
        for position, gene in enumerate(space.genes):
            for choice in range(len(gene.choices)):
                other = [*best[:position], choice, *best[position + 1 :]]
                if space.violation(other):
                    continue
                if (beyond := bounds.violation(known(other))) < least:
                    best, least, improved = other, beyond, True
    return best
