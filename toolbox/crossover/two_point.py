"""Two-point crossover (De Jong, 1975), between genes or between layers."""

import random
from typing import Any

from toolbox.genes import Between, cut_points


def two_point(
    a: list[int], b: list[int], space: Any, between: Between = "genes"
) -> tuple[list[int], list[int]]:
    """Swap everything between two different random cuts.

    between: "layers" cuts only where a layer ends.  Works in place and returns both; a genome with
    fewer than two inner cuts is left as it is.
    """
    cuts = cut_points(space, len(a), between)
    if len(cuts) >= 2:
        start, stop = sorted(random.sample(cuts, 2))
        a[start:stop], b[start:stop] = b[start:stop], a[start:stop]
    return a, b
