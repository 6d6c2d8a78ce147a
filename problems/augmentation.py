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

    def apply(self, images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        """Images (N, C, H, W) of any type, each changed by draws of its own.

        torchvision's transforms draw once for a whole batch; here one gather crops and mirrors
        every image in its own way.  The draws are made on the CPU, so that they are the same on
        every device.
        """
        n, channels, height, width = images.shape
        padding = self.crop_padding
        device = images.device

        def drawn(choices: int) -> torch.Tensor:
            return torch.randint(choices, (n, 1), generator=generator).to(device)

        rows = torch.arange(height, device=device) + drawn(2 * padding + 1)
        columns = torch.arange(width, device=device).expand(n, width)
        if self.flip:
            columns = torch.where(drawn(2).bool(), columns.flip(1), columns)
        columns = columns + drawn(2 * padding + 1)
        padded = torch.nn.functional.pad(images, (padding,) * 4)
        return padded[
            torch.arange(n, device=device)[:, None, None, None],
            torch.arange(channels, device=device)[None, :, None, None],
            rows[:, None, :, None],
            columns[:, None, None, :],
        ]
