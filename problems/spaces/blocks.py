"""Blocks of convolutions that a chain may hold as one layer.

A block is described once, as `Branches` of convolutions; `problems.spaces.chain` counts what they
cost and `problems.networks.blocks` builds them, so neither knows the blocks by name.

MobileNetV2: Sandler et al., arXiv 1801.04381.  ShuffleNetV2: Ma et al., arXiv 1807.11164, as the
choice blocks of Guo et al., arXiv 1904.00420.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Unit:
    """A convolution ("same", no bias), batch norm, and ReLU if `relu`.

    depthwise: each channel by itself; `filters` are then the input's channels.
    """

    filters: int
    kernel: int = 1
    stride: int = 1
    depthwise: bool = False
    relu: bool = True


@dataclass(frozen=True)
class Branches:
    """What becomes of a block's input.

    "" runs `main` alone; "add" adds its input to it; "concatenate" puts what `side` makes of the
    input before it; "split" runs `main` on the odd channels, puts the even ones before it and has
    no side.  Splitting even from odd is ShuffleNetV2's channel shuffle, seen from the next block.
    """

    main: tuple[Unit, ...]
    side: tuple[Unit, ...] = ()
    join: Literal["", "add", "concatenate", "split"] = ""


@dataclass(frozen=True)
class ConvNorm:
    """One `Unit` that is no part of anything larger: a stem, a last convolution, a projection."""

    filters: int
    kernel: int = 1
    stride: int = 1
    relu: bool = True

    def branches(self, channels: int) -> Branches:
        return Branches((Unit(self.filters, self.kernel, self.stride, relu=self.relu),))


@dataclass(frozen=True)
class InvertedResidual:
    """MobileNetV2's block: expand the channels, filter each, project; a shortcut if it fits."""

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


@dataclass(frozen=True)
class Shuffle:
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


Block = ConvNorm | InvertedResidual | Shuffle


@dataclass(frozen=True)
class BlockCount:
    """A block's weights, multiply-accumulates, output shape, and largest input and output of one
    of its convolutions together (numbers, not bytes), on one image."""

    shape: tuple[int, int, int]
    conv_params: int
    norm_params: int
    macs: int
    convolutions: int
    widest: int


def count_block(block: Block, shape: tuple[int, int, int]) -> BlockCount:
    """What a block costs on a plane of (channels, height, width).

    >>> count_block(InvertedResidual(64, 3, 3, stride=2), (32, 32, 32)).macs
    4939776
    """
    channels = shape[0]
    branches = block.branches(channels)
    taken = channels // 2 if branches.join == "split" else channels
    main = list(_steps(branches.main, (taken, *shape[1:])))
    side = list(_steps(branches.side, shape))
    made, height, width = main[-1][2]
    kept = {"split": taken, "concatenate": channels}.get(branches.join, 0)
    weights, costs, norms, widest = 0, 0, 0, 0
    for unit, before, after in (*main, *side):
        of_unit = unit.kernel**2 * (1 if unit.depthwise else before[0]) * unit.filters
        weights += of_unit
        costs += of_unit * after[1] * after[2]
        norms += 2 * unit.filters
        widest = max(widest, _size(before) + _size(after))
    return BlockCount(
        shape=(made + kept, height, width),
        conv_params=weights,
        norm_params=norms,
        macs=costs,
        convolutions=len(main) + len(side),
        widest=widest,
    )


Plane = tuple[int, int, int]


def _steps(units: tuple[Unit, ...], shape: Plane) -> Iterator[tuple[Unit, Plane, Plane]]:
    """Each convolution with the shapes before and after it."""
    for unit in units:
        _, height, width = shape
        # "same" with an odd kernel: a stride of 2 halves and rounds up.
        after = (unit.filters, -(-height // unit.stride), -(-width // unit.stride))
        yield unit, shape, after
        shape = after


def _size(shape: Plane) -> int:
    return shape[0] * shape[1] * shape[2]
