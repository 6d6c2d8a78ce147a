"""Blocks of convolutions that a chain holds as one layer.

A block describes itself once, as `Branches` of convolutions.  Here it is counted from them, and
`problems.networks.blocks` builds it from them.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal

from problems.spaces.layers.layer import Count, Layer, Shape


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


class Block(Layer):
    """A layer of several convolutions."""

    drawn_as: ClassVar[Literal["conv"]] = "conv"

    @abstractmethod
    def branches(self, channels: int) -> Branches:
        """Its convolutions for an input of the given number of channels.

        Raises ValueError for channels that do not fit.
        """

    def count(self, shape: Shape) -> Count:
        channels, *plane = shape
        branches = self.branches(channels)
        taken = channels // 2 if branches.join == "split" else channels
        main = list(_steps(branches.main, (taken, *plane)))
        side = list(_steps(branches.side, shape))
        if branches.join == "add" and main[-1][2] != shape:
            raise ValueError(
                f"{self.said}: it adds its input, {shape}, to what its branch makes of it, "
                f"{main[-1][2]}; both need one shape"
            )
        made, *plane = main[-1][2]
        kept = {"split": taken, "concatenate": side[-1][2][0] if side else channels}
        weights = [
            unit.kernel**2 * (1 if unit.depthwise else before[0]) * unit.filters
            for unit, before, _ in (*main, *side)
        ]
        return Count(
            (made + kept.get(branches.join, 0), *plane),
            conv_params=sum(weights),
            norm_params=sum(2 * unit.filters for unit, *_ in (*main, *side)),
            macs=sum(
                weight * prod(after[1:])
                for weight, (_, _, after) in zip(weights, (*main, *side), strict=True)
            ),
            weighted=len(weights),
            widest=max(prod(before) + prod(after) for _, before, after in (*main, *side)),
        )


def _steps(units: tuple[Unit, ...], shape: Shape) -> Iterator[tuple[Unit, Shape, Shape]]:
    """Each convolution with the shapes before and after it."""
    for unit in units:
        _, height, width = shape
        # "same" with an odd kernel: a stride of 2 halves and rounds up.
        after = (unit.filters, -(-height // unit.stride), -(-width // unit.stride))
        yield unit, shape, after
        shape = after
