"""Dropout that several networks can train with in turns."""

import torch
from torch import nn


class Dropout(nn.Module):
    """Dropout with a generator of its own (the device's if None).

    Networks that are trained in turns would draw from the device's in an order of their turns.
    whole_channels: drop channels of (N, C, ...) and not single values.
    """

    def __init__(self, probability: float, whole_channels: bool = False):
        super().__init__()
        self.probability, self.whole_channels = probability, whole_channels
        self.generator: torch.Generator | None = None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if not self.training or not self.probability:
            return features
        kept = 1 - self.probability
        drawn = features.flatten(2)[..., :1] if self.whole_channels else features
        mask = torch.empty_like(drawn).bernoulli_(kept, generator=self.generator)
        if self.whole_channels:
            mask = mask.view(*features.shape[:2], *(1,) * (features.dim() - 2))
        return features * mask / kept


# An alpha dropout keeps mean and deviation, which this does not; it draws as other modules do
# (problems/training/draws.py).
OF_TORCH = {nn.Dropout: False, nn.Dropout1d: True, nn.Dropout2d: True, nn.Dropout3d: True}


def with_own_dropout(network: nn.Module) -> nn.Module:
    """The network with each dropout of torch's replaced by `Dropout`, in place."""
    if type(network) in OF_TORCH:
        assert isinstance(network, nn.modules.dropout._DropoutNd)
        return Dropout(network.p, OF_TORCH[type(network)])
    for name, child in network.named_children():
        replaced = with_own_dropout(child)
        if replaced is not child:
            setattr(network, name, replaced)
    return network
