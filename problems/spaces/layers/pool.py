"""A pool over windows of pixels."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from problems.spaces.layers.layer import Count, Layer, Shape, ShapeCollapsed


@dataclass(frozen=True)
class Pool(Layer):
    """A "max" or "average" pool over windows of 2x2 pixels, stride 2; odd rests are dropped."""

    kind: str

    drawn_as: ClassVar[Literal["pool"]] = "pool"

    def count(self, shape: Shape) -> Count:
        channels, height, width = shape
        if min(height, width) < 2:
            raise ShapeCollapsed(f"a pool of 2x2 does not fit {height}x{width} pixels")
        return Count((channels, height // 2, width // 2))

    @property
    def said(self) -> str:
        return f"{self.kind} pool 2\N{MULTIPLICATION SIGN}2"
