"""Random crops and flips of a whole batch on its device."""

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge


@dataclass(frozen=True)
class Augmentation:
    """Crop each image at random out of its version with `crop_padding` black pixels around it.

    flip: mirror each image left to right with probability 1/2.
    """

    crop_padding: Annotated[int, Ge(0)] = 0
    flip: bool = False

    def __bool__(self) -> bool:
        return bool(self.crop_padding or self.flip)

    def draw(self, images: int, generator: torch.Generator) -> torch.Tensor:
        """(images, 3): the row and column where each crop begins, and whether it is mirrored."""
        windows = 2 * self.crop_padding + 1
        return torch.stack(
            [
                torch.randint(choices, (images,), generator=generator)
                for choices in (windows, windows, 2 if self.flip else 1)
            ],
            dim=1,
        )

    def apply(self, images: torch.Tensor, draws: torch.Tensor) -> torch.Tensor:
        """Images (N, C, H, W) of any type, each changed by its row of `draws` (N, 3).

        torchvision's transforms draw once for a whole batch; here one gather crops and mirrors
        every image in its own way.
        """
        n, channels, height, width = images.shape
        device = images.device
        row, column, mirrored = draws.unsqueeze(2).unbind(dim=1)
        rows = torch.arange(height, device=device) + row
        columns = torch.arange(width, device=device).expand(n, width)
        columns = torch.where(mirrored.bool(), columns.flip(1), columns) + column
        padded = torch.nn.functional.pad(images, (self.crop_padding,) * 4)
        return padded[
            torch.arange(n, device=device)[:, None, None, None],
            torch.arange(channels, device=device)[None, :, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]
