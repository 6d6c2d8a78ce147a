"""The layers of a chain, one kind a file.  Stdlib only; `problems.networks.chain` builds them.

A layer of one's own is a frozen dataclass that inherits from `Layer` and has `count(shape)` and
`module(shape)`, or from `Block` and has `branches(channels)`.  It needs no entry here: `LAYERS` are
those that a saved network names without their module.
"""

from problems.spaces.layers.block import Block, Branches, Unit
from problems.spaces.layers.conv import Conv
from problems.spaces.layers.conv_norm import ConvNorm
from problems.spaces.layers.flatten import Flatten
from problems.spaces.layers.global_average_pool import GlobalAveragePool
from problems.spaces.layers.inverted_residual import InvertedResidual
from problems.spaces.layers.layer import Count, Layer, Shape, ShapeCollapsed
from problems.spaces.layers.linear import Linear
from problems.spaces.layers.pool import Pool
from problems.spaces.layers.shuffle import Shuffle

__all__ = [
    "LAYERS",
    "Block",
    "Branches",
    "Conv",
    "ConvNorm",
    "Count",
    "Flatten",
    "GlobalAveragePool",
    "InvertedResidual",
    "Layer",
    "Linear",
    "Pool",
    "Shape",
    "ShapeCollapsed",
    "Shuffle",
    "Unit",
]

LAYERS: dict[str, type[Layer]] = {
    "Conv": Conv,
    "ConvNorm": ConvNorm,
    "Flatten": Flatten,
    "GlobalAveragePool": GlobalAveragePool,
    "InvertedResidual": InvertedResidual,
    "Linear": Linear,
    "Pool": Pool,
    "Shuffle": Shuffle,
}
