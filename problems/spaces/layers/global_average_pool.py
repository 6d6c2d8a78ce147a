"""The mean over all pixels."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from problems.spaces.layers.layer import Count, Layer, Shape


@dataclass(frozen=True)
class GlobalAveragePool(Layer):
    """The mean of each channel over its whole plane."""

    drawn_as: ClassVar[Literal["pool"]] = "pool"

    def count(self, shape: Shape) -> Count:
        return Count(shape[:1])

    @property
    def said(self) -> str:
        return "global average pool"
