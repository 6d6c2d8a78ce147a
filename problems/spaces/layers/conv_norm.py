"""A convolution without bias, and batch norm."""

from dataclasses import dataclass

from problems.spaces.layers.block import Block, Branches, Unit
from problems.spaces.layers.layer import convolving


@dataclass(frozen=True)
class ConvNorm(Block):
    """One `Unit` that is no part of anything larger: a stem, a last convolution, a projection."""

    filters: int
    kernel: int = 1
    stride: int = 1
    relu: bool = True

    def branches(self, channels: int) -> Branches:
        return Branches((Unit(self.filters, self.kernel, self.stride, relu=self.relu),))

    @property
    def said(self) -> str:
        return convolving("conv", self.filters, self.kernel, self.stride, "batch norm")
