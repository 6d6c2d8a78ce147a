"""Swap whole parts of two networks, such as their depth (reference: nas-ga-basic)."""

import random
from collections.abc import Sequence
from typing import Any

from toolbox.genes import checked_kinds
from toolbox.probability import Probability


def swap_parts(
    a: list[int],
    b: list[int],
    space: Any,
    kinds: Sequence[str] = (),
    swap_probability: Probability = 0.5,
) -> tuple[list[int], list[int]]:
    """Swap each kind of part between two parents independently, all its genes together.

    kinds: of `space.parts`; all of them if none is named.  A parent that becomes deeper is filled
    up from its own inert genes, one that becomes shallower loses its last layers.  Works in place.
    """
    for kind in checked_kinds(kinds, space):
        if random.random() < swap_probability:
            for part in space.parts[kind]:
                for gene in part:
                    a[gene], b[gene] = b[gene], a[gene]
    return a, b
