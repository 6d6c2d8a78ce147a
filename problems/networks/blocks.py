"""The torch twin of `problems.spaces.blocks`."""

import torch
from torch import nn

from problems.spaces.blocks import Block, Unit


class BlockModule(nn.Module):
    """A block of convolutions for inputs of so many channels.

    affine: whether batch norm has scales and shifts to learn.  A supernet's has none: every path
    would pull them to its own statistics.
    """

    def __init__(self, block: Block, channels: int, affine: bool = True):
        super().__init__()
        branches = block.branches(channels)
        self.join = branches.join
        taken = channels // 2 if self.join == "split" else channels
        self.main = _units(branches.main, taken, affine)
        self.side = _units(branches.side, channels, affine)

    def forward(self, images):
        match self.join:
            case "add":
                return images + self.main(images)
            case "concatenate":
                return torch.cat([self.side(images), self.main(images)], dim=1)
            case "split":
                return torch.cat([images[:, ::2], self.main(images[:, 1::2])], dim=1)
            case _:
                return self.main(images)


def _units(units: tuple[Unit, ...], channels: int, affine: bool) -> nn.Sequential:
    modules: list[nn.Module] = []
    for unit in units:
        modules.append(
            nn.Conv2d(
                channels,
                unit.filters,
                unit.kernel,
                unit.stride,
                padding=unit.kernel // 2,
                groups=channels if unit.depthwise else 1,
                bias=False,
            )
        )
        modules.append(nn.BatchNorm2d(unit.filters, affine=affine))
        if unit.relu:
            modules.append(nn.ReLU(inplace=True))
        channels = unit.filters
    return nn.Sequential(*modules)
