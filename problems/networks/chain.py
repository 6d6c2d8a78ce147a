"""A chain of layers as a torch module: the twin of `problems.spaces.chain`."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from problems.networks.blocks import BlockModule
from problems.networks.dropout import Dropout, with_own_dropout
from problems.spaces.chain import Chain, count
from problems.spaces.layers import (
    Block,
    Conv,
    Flatten,
    GlobalAveragePool,
    Layer,
    Linear,
    Pool,
    Shape,
)

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    # In place where the gradient needs only the output: a pass over memory less.
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, 0.1, inplace=True),
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "swish": nn.SiLU,
    "gelu": nn.GELU,
}

POOLS = {"max": nn.MaxPool2d, "average": nn.AvgPool2d}


class GlobalMean(nn.Module):
    """(N, C, H, W) to (N, C).  A plain mean: its gradient is deterministic on every device."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.mean(dim=(2, 3))


class ChannelsLastFlatten(nn.Module):
    """(N, C, H, W) to (N, H * W * C): as channels_last lies in memory, so nothing is moved."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


class Standardize(nn.Module):
    """(x - mean) / std for each channel, as a first layer that travels with the network."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: torch.Tensor, std: torch.Tensor):
        super().__init__()
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return (images - self.mean) / self.std


def conv(layer: Conv, shape: Shape) -> Iterator[nn.Module]:
    # torch pads evenly or not at all; "same" with an even kernel needs one pixel more on the right
    # and bottom, as the published networks have it.
    before, odd = (layer.kernel - 1) // 2, layer.kernel % 2
    even_padding = before if layer.padding == "same" and odd else 0
    if layer.padding == "same" and not odd:
        yield nn.ZeroPad2d((before, before + 1, before, before + 1))
    yield nn.Conv2d(shape[0], layer.filters, layer.kernel, layer.stride, even_padding)
    if layer.batch_norm:
        yield nn.BatchNorm2d(layer.filters)
    yield ACTIVATIONS[layer.activation]()


def pool(layer: Pool, shape: Shape) -> Iterator[nn.Module]:
    yield POOLS[layer.kind](2)


def global_average_pool(layer: GlobalAveragePool, shape: Shape) -> Iterator[nn.Module]:
    yield GlobalMean()


def flatten(layer: Flatten, shape: Shape) -> Iterator[nn.Module]:
    yield ChannelsLastFlatten()


def linear(layer: Linear, shape: Shape) -> Iterator[nn.Module]:
    yield nn.Linear(shape[0], layer.units)
    if layer.activation:
        yield ACTIVATIONS[layer.activation]()
    if layer.dropout:
        yield Dropout(layer.dropout)


# The modules of each layer for inputs (N, *shape).  Their order is that of the names in a saved
# network, "0.weight" and so on, and must stay.
TWINS: Mapping[type[Layer], Callable[[Any, Shape], Iterator[nn.Module]]] = {
    Conv: conv,
    Pool: pool,
    GlobalAveragePool: global_average_pool,
    Flatten: flatten,
    Linear: linear,
}


def modules_of(layer: Layer, shape: Shape, shared: bool = False) -> Iterator[nn.Module]:
    """The modules of one layer for inputs (N, *shape); shared: see `BlockModule`.

    Raises ValueError for a layer of somebody's own that makes none.
    """
    if twin := TWINS.get(type(layer)):
        yield from twin(layer, shape)
    elif isinstance(layer, Block) and type(layer).module is Layer.module:
        yield BlockModule(layer, shape[0], shared)
    else:
        own = layer.module(shape)
        if not isinstance(own, nn.Module):
            raise ValueError(
                f"{type(layer).__name__}.module returned {own!r}; a torch.nn.Module is needed"
            )
        yield with_own_dropout(own)


def build(chain: Chain, image_shape: Shape, shared: bool = False) -> nn.Sequential:
    """The module of a chain, for images (N, *image_shape) in [0, 1]; it returns (N, classes).

    shared: whether its blocks are part of a supernet, see `BlockModule`.
    Raises ShapeCollapsed for a chain that does not fit the images.
    """
    before = [image_shape, *(counted.shape for counted in count(chain, image_shape))]
    return nn.Sequential(
        *(
            module
            for layer, shape in zip(chain, before, strict=False)
            for module in modules_of(layer, shape, shared)
        )
    )


def glorot_uniform(network: nn.Module) -> None:
    """Glorot-uniform weights and zero biases, in place (Glorot & Bengio, 2010)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
