"""One-point crossover (Holland, 1975), between genes or between layers."""

import random
from typing import Any, Literal

Between = Literal["genes", "layers"]


def one_point(a: list[int], b: list[int], space: Any, between: Between = "genes") -> tuple:
    """Swap everything after one random cut.

    between: "layers" cuts only where a layer ends, so that a layer's genes stay together.  Works in
    place and returns both; a genome without an inner cut is left as it is.
    """
    cuts = cut_points(space, len(a), between)
    if cuts:
        cut = random.choice(cuts)
        a[cut:], b[cut:] = b[cut:], a[cut:]
    return a, b


def cut_points(space: Any, length: int, between: Between) -> list[int]:
    """Where a genome may be cut: after each gene or each layer, never at its ends."""
    if between == "genes":
        return list(range(1, length))
    ends = {boundary for slot in space.slots for boundary in (slot.start, slot.stop)}
    return sorted(ends - {0, length})
