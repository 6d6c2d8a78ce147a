"""A chain of layers as a torch module: the twin of `problems.spaces.chain`."""

from collections.abc import Callable
from functools import partial

import torch
from torch import nn

from problems.networks.blocks import BlockModule
from problems.spaces.blocks import ConvNorm, InvertedResidual, Shuffle
from problems.spaces.chain import (
    Chain,
    Conv,
    Flatten,
    GlobalAveragePool,
    Linear,
    Pool,
    Shape,
    count,
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

    def forward(self, images):
        return images.mean(dim=(2, 3))


class ChannelsLastFlatten(nn.Module):
    """(N, C, H, W) to (N, H * W * C): as channels_last lies in memory, so nothing is moved."""

    def forward(self, images):
        return images.permute(0, 2, 3, 1).flatten(1)


class Dropout(nn.Module):
    """Dropout with a generator of its own (the device's if None).

    Networks that are trained in turns would draw from the device's in an order of their turns.
    """

    def __init__(self, probability: float):
        super().__init__()
        self.probability = probability
        self.generator: torch.Generator | None = None

    def forward(self, features):
        if not self.training:
            return features
        kept = 1 - self.probability
        mask = torch.empty_like(features).bernoulli_(kept, generator=self.generator)
        return features * mask / kept


class Standardize(nn.Module):
    """(x - mean) / std for each channel, as a first layer that travels with the network."""

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, mean: torch.Tensor, std: torch.Tensor):
        super().__init__()
        self.register_buffer("mean", mean.view(1, -1, 1, 1))
        self.register_buffer("std", std.view(1, -1, 1, 1))

    def forward(self, images):
        return (images - self.mean) / self.std


def build(chain: Chain, image_shape: Shape, shared: bool = False) -> nn.Sequential:
    """The module of a chain, for images (N, *image_shape) in [0, 1]; it returns (N, classes).

    shared: whether its blocks are part of a supernet, see `BlockModule`.
    Raises ShapeCollapsed for a chain that does not fit the images.
    """
    modules: list[nn.Module] = []
    shape = image_shape
    for counted in count(chain, image_shape):
        match counted.layer:
            case Conv(filters, kernel, activation, stride, padding, batch_norm):
                # torch pads evenly or not at all; "same" with an even kernel needs one pixel
                # more on the right and bottom, as the published networks have it.
                before, odd = (kernel - 1) // 2, kernel % 2
                even_padding = before if padding == "same" and odd else 0
                if padding == "same" and not odd:
                    modules.append(nn.ZeroPad2d((before, before + 1, before, before + 1)))
                modules.append(nn.Conv2d(shape[0], filters, kernel, stride, even_padding))
                if batch_norm:
                    modules.append(nn.BatchNorm2d(filters))
                modules.append(ACTIVATIONS[activation]())
            case ConvNorm() | InvertedResidual() | Shuffle():
                modules.append(BlockModule(counted.layer, shape[0], shared))
            case GlobalAveragePool():
                modules.append(GlobalMean())
            case Pool(kind):
                modules.append(POOLS[kind](2))
            case Flatten():
                modules.append(ChannelsLastFlatten())
            case Linear(units, activation, dropout):
                modules.append(nn.Linear(shape[0], units))
                if activation:
                    modules.append(ACTIVATIONS[activation]())
                if dropout:
                    modules.append(Dropout(dropout))
        shape = counted.shape
    return nn.Sequential(*modules)


def glorot_uniform(network: nn.Module) -> None:
    """Glorot-uniform weights and zero biases, in place (Glorot & Bengio, 2010)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
