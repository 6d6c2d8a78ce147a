"""A depthwise network: each stage is as wide as the one before it times what its gene says."""

from typing import Annotated, Literal

from annotated_types import MaxLen, MinLen
from torch import nn

Factors = Annotated[tuple[Literal[1, 2, 3], ...], MinLen(1), MaxLen(3)]


def build(image_shape, classes, stem: Literal[8, 16], kernel: Literal[3, 5], factors: Factors):
    layers, width = [nn.Conv2d(image_shape[0], stem, 3, padding=1), nn.ReLU()], stem
    for factor in factors:
        layers.append(nn.Conv2d(width, width, kernel, 2, kernel // 2, groups=width))
        layers += [nn.Conv2d(width, width * factor, 1), nn.BatchNorm2d(width * factor), nn.ReLU()]
        width *= factor
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
