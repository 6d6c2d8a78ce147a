"""The torch twin of the blocks among `problems.spaces.layers`."""

import torch
from torch import nn

from problems.spaces.layers import Block, Unit


class BlockModule(nn.Module):
    """A block of convolutions for inputs of the given number of channels.

    shared: whether it is part of a supernet, whose batch norm has neither scales and shifts to
    learn nor running statistics: every path has its own.
    """

    def __init__(self, block: Block, channels: int, shared: bool = False):
        super().__init__()
        branches = block.branches(channels)
        self.join = branches.join
        taken = channels // 2 if self.join == "split" else channels
        self.main = _units(branches.main, taken, shared)
        self.side = _units(branches.side, channels, shared)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        split = self.join == "split"
        made: torch.Tensor = self.main(images[:, 1::2] if split else images)
        match self.join:
            case "add":
                return images + made
            case "concatenate":
                return torch.cat([self.side(images), made], dim=1)
            case "split":
                return torch.cat([images[:, ::2], made], dim=1)
            case _:
                return made


def _units(units: tuple[Unit, ...], channels: int, shared: bool) -> nn.Sequential:
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
        modules.append(
            nn.BatchNorm2d(unit.filters, affine=not shared, track_running_stats=not shared)
        )
        if unit.relu:
            modules.append(nn.ReLU(inplace=True))
        channels = unit.filters
    return nn.Sequential(*modules)
