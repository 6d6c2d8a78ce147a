"""A residual network whose shortcuts are genes: every parameter with a type is searched."""

from typing import Annotated, Literal

from annotated_types import MaxLen, MinLen
from torch import Tensor, nn

Skips = Annotated[tuple[bool, ...], MinLen(1), MaxLen(3)]  # as many blocks as it has values


class Residual(nn.Sequential):
    def forward(self, features: Tensor) -> Tensor:
        return features + super().forward(features)


def build(image_shape, classes, width: Literal[8, 16, 32], kernel: Literal[3, 5], skips: Skips):
    layers = [nn.Conv2d(image_shape[0], width, kernel, stride=2), nn.ReLU()]
    for skip in skips:
        block = nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()
        layers.append(Residual(*block) if skip else nn.Sequential(*block))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
