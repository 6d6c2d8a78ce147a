"""MobileNetV2's block (Sandler et al., arXiv 1801.04381)."""

from dataclasses import dataclass

from problems.spaces.layers.block import Block, Branches, Unit
from problems.spaces.layers.layer import convolving


@dataclass(frozen=True)
class InvertedResidual(Block):
    """Expand the channels, filter each, project; a shortcut if it fits.

    >>> InvertedResidual(64, 3, 3, stride=2).count((32, 32, 32)).macs
    4939776
    """

    filters: int
    expansion: int
    kernel: int
    stride: int = 1

    def branches(self, channels: int) -> Branches:
        hidden = self.expansion * channels
        main = (
            Unit(hidden),
            Unit(hidden, self.kernel, self.stride, depthwise=True),
            Unit(self.filters, relu=False),
        )
        fits = self.stride == 1 and channels == self.filters
        return Branches(main, join="add" if fits else "")

    @property
    def said(self) -> str:
        more = f"expansion {self.expansion}"
        return convolving("MBConv", self.filters, self.kernel, self.stride, more)
