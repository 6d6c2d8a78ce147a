"""Redraw one part of a network: a layer, its depth, its wiring (reference: nas-ga-basic)."""

import random
from collections.abc import Sequence
from typing import Any

from toolbox.genes import checked_kinds

MOST_REDRAWS = 100  # a space may hold a single network


def reset_part(individual: list[int], space: Any, kinds: Sequence[str] = ()) -> tuple[list[int]]:
    """Redraw all genes of one random part of one random kind, until the network is another one.

    kinds: of `space.parts`; all of them if none is named.  Parts that are inert, such as a layer
    beyond the depth, are passed over, because redrawing them changes nothing.  Works in place.
    """
    kind = random.choice(checked_kinds(kinds, space))
    before, network = list(individual), space.canonical(individual)
    for _ in range(MOST_REDRAWS):
        for gene in random.choice(space.parts[kind]):
            individual[gene] = random.randrange(len(space.genes[gene].choices))
        if space.canonical(individual) != network:
            break
        individual[:] = before
    return (individual,)
