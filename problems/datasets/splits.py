"""The images that a search may see, on the device, once per process."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy
import torch

from problems.datasets.dataset import Dataset
from problems.datasets.stratified import stratified_order


def as_is(images: torch.Tensor) -> torch.Tensor:
    """The same images."""
    return images


@dataclass(frozen=True)
class Split:
    """images: (N, C, H, W) uint8, channels_last; labels: (N,) int64; both on the device."""

    images: torch.Tensor
    labels: torch.Tensor

    @classmethod
    def on(cls, device: str, images: numpy.ndarray, labels: numpy.ndarray) -> "Split":
        """The images and labels of a data set, put on a device."""
        return cls(
            torch.from_numpy(images).to(device).contiguous(memory_format=torch.channels_last),
            torch.from_numpy(labels).to(device),
        )

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self, index: torch.Tensor | slice, change: Callable[[torch.Tensor], torch.Tensor] = as_is
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The chosen images, changed, as float32 in [0, 1], and their labels."""
        images = change(self.images[index])
        images = images.to(torch.float32, memory_format=torch.channels_last)
        return images.div_(255), self.labels[index]

    @cached_property  # every network of a process asks for it, and the images never change
    def channel_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of each channel over all images, for images in [0, 1]."""
        pixels = self.images.movedim(1, 0).flatten(1)
        mean = torch.stack([channel.double().mean() for channel in pixels]) / 255
        std = torch.stack([channel.double().std(correction=0) for channel in pixels]) / 255
        return mean.float(), std.float()


@dataclass(frozen=True)
class Splits:
    train: Split
    validation: Split


@lru_cache(maxsize=2)  # one search uses one; a second one leaves room for comparing two
def open_splits(dataset: Dataset, device: str) -> Splits:
    """Training and validation images on `device`, both from the official training split."""
    images, labels = dataset.read("train")
    order = stratified_order(labels, dataset.seed)

    first_train, end = dataset.validation, dataset.validation + dataset.train_images
    train, validation = order[first_train:end], order[:first_train]
    return Splits(
        train=Split.on(device, images[train], labels[train]),
        validation=Split.on(device, images[validation], labels[validation]),
    )
