"""ShuffleNetV2's block (Ma et al., arXiv 1807.11164).

As the choice blocks of Guo et al., arXiv 1904.00420, have it.
"""

from dataclasses import dataclass

from problems.spaces.layers.block import Block, Branches, Unit
from problems.spaces.layers.layer import convolving


@dataclass(frozen=True)
class Shuffle(Block):
    """ShuffleNetV2's block, or with `xception` the one of three separable 3x3 convolutions.

    With stride 1 it works on half of the channels; with stride 2 on all of them, and the others
    are filtered and projected beside it.  Raises ValueError for channels that do not fit.
    """

    filters: int
    kernel: int
    stride: int = 1
    xception: bool = False

    def branches(self, channels: int) -> Branches:
        if self.stride == 1 and (channels != self.filters or channels % 2):
            raise ValueError(
                f"{channels} channels before {self}: with stride 1 their number is even and stays"
            )
        if self.stride > 1 and channels >= self.filters:
            raise ValueError(f"{channels} channels before {self}: they must become more")
        main: tuple[Unit, ...]
        taken = channels // 2 if self.stride == 1 else channels
        middle, made = self.filters // 2, self.filters - taken
        if self.xception:
            main = (
                Unit(taken, self.kernel, self.stride, depthwise=True, relu=False),
                Unit(middle),
                Unit(middle, self.kernel, depthwise=True, relu=False),
                Unit(middle),
                Unit(middle, self.kernel, depthwise=True, relu=False),
                Unit(made),
            )
        else:
            main = (
                Unit(middle),
                Unit(middle, self.kernel, self.stride, depthwise=True, relu=False),
                Unit(made),
            )
        if self.stride == 1:
            return Branches(main, join="split")
        side = (
            Unit(channels, self.kernel, self.stride, depthwise=True, relu=False),
            Unit(channels),
        )
        return Branches(main, side, join="concatenate")

    @property
    def said(self) -> str:
        kind = ["Xception"] if self.xception else []
        return convolving("shuffle", self.filters, self.kernel, self.stride, *kind)
