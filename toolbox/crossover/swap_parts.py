"""Swap whole parts of two networks, such as their depth (reference: nas-ga-basic)."""

import random
from collections.abc import Sequence
from typing import Any

from toolbox.operator_error import OperatorError
from toolbox.probability import Probability
from toolbox.shelf import did_you_mean


def swap_parts(
    a: list[int],
    b: list[int],
    space: Any,
    kinds: Sequence[str] = (),
    swap_probability: Probability = 0.5,
) -> tuple:
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


def checked_kinds(kinds: Sequence[str], space: Any) -> Sequence[str]:
    """The named kinds of parts, or all.  Raises OperatorError for one that the space has not."""
    for kind in kinds:
        if kind not in space.parts:
            raise OperatorError(
                f"kinds = {list(kinds)}: this space has no {kind!r}; legal: "
                f"{', '.join(space.parts)}{did_you_mean(kind, space.parts)}"
            )
    return kinds or list(space.parts)
