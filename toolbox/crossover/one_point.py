"""One-point crossover (Holland, 1975), between genes or between layers."""

import random
from typing import Any

from toolbox.genes import Between, cut_points


def one_point(
    a: list[int], b: list[int], space: Any, between: Between = "genes"
) -> tuple[list[int], list[int]]:
    """Swap everything after one random cut.

    between: "layers" cuts only where a layer ends, so that a layer's genes stay together.  Works in
    place and returns both; a genome without an inner cut is left as it is.
    """
    cuts = cut_points(space, len(a), between)
    if cuts:
        cut = random.choice(cuts)
        a[cut:], b[cut:] = b[cut:], a[cut:]
    return a, b
