"""The images that a search may see, on the device, once per process."""

from dataclasses import dataclass
from functools import lru_cache

import torch

from problems.datasets.dataset import Dataset
from problems.datasets.stratified import stratified_order


@dataclass(frozen=True)
class Split:
    """images: (N, C, H, W) uint8, channels_last; labels: (N,) int64; both on the device."""

    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(self, index: torch.Tensor | slice) -> tuple[torch.Tensor, torch.Tensor]:
        """The chosen images as float32 in [0, 1], and their labels."""
        images = self.images[index].to(torch.float32, memory_format=torch.channels_last)
        return images.div_(255), self.labels[index]


@dataclass(frozen=True)
class Splits:
    train: Split
    validation: Split


@lru_cache(maxsize=2)  # one search uses one; a second one leaves room for comparing two
def open_splits(dataset: Dataset, device: str) -> Splits:
    """Training and validation images on `device`, both from the official training split."""
    images, labels = dataset.read("train")
    order = stratified_order(labels, dataset.seed)

    def on_device(chosen) -> Split:
        tensor = torch.from_numpy(images[chosen]).to(device)
        return Split(
            tensor.contiguous(memory_format=torch.channels_last),
            torch.from_numpy(labels[chosen]).to(device),
        )

    first_train, end = dataset.validation, dataset.validation + dataset.train_images
    return Splits(
        train=on_device(order[first_train:end]), validation=on_device(order[:first_train])
    )
