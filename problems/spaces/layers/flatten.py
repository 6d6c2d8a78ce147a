"""From planes to features."""

from dataclasses import dataclass
from math import prod

from problems.spaces.layers.layer import Count, Layer, Shape


@dataclass(frozen=True)
class Flatten(Layer):
    """Every channel and pixel as one feature."""

    def count(self, shape: Shape) -> Count:
        return Count((prod(shape),))
