"""The images that a search may see, on the device, once per process."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy
import torch

from problems.datasets.dataset import Dataset, Part
from problems.datasets.image_stream import ImageStream, Loader, Pictures
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

    def first(self, images: int) -> "Split":
        """The first so many images."""
        return Split(self.images[:images], self.labels[:images])

    @cached_property  # every network of a process asks for it, and the images never change
    def channel_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and standard deviation of each channel over all images, for images in [0, 1]."""
        pixels = self.images.movedim(1, 0).flatten(1)
        mean = torch.stack([channel.double().mean() for channel in pixels]) / 255
        std = torch.stack([channel.double().std(correction=0) for channel in pixels]) / 255
        return mean.float(), std.float()


STATISTICS_OF = 2_048  # images of a streamed split that its channel statistics are taken from


@dataclass(frozen=True)
class StreamedSplit:
    """Images that stay on disk: `numbers` of the `pictures` of a data set, in this order.

    labels: (N,) int64, on the device.  It answers as a Split does for the few images that are asked
    for by number, cropped at their centre; `loader` is for training.
    """

    dataset: ImageStream
    pictures: Pictures
    numbers: numpy.ndarray
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def batch(
        self, index: torch.Tensor | slice, change: Callable[[torch.Tensor], torch.Tensor] = as_is
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The chosen images, changed, as float32 in [0, 1], and their labels."""
        at = index if isinstance(index, slice) else index.cpu().numpy()
        return self._held(self.numbers[at], self.labels[index]).batch(slice(None), change)

    def first(self, images: int) -> Split:
        """The first so many images, loaded once and then held in memory."""
        if images not in self._firsts:
            self._firsts[images] = self._held(self.numbers[:images], self.labels[:images])
        return self._firsts[images]

    @cached_property
    def _firsts(self) -> dict[int, Split]:
        return {}

    def _held(self, numbers: numpy.ndarray, labels: torch.Tensor) -> Split:
        images = self.dataset.centres(self.pictures, numbers)
        return Split.on(str(self.labels.device), images, labels.cpu().numpy())

    @cached_property
    def channel_statistics(self) -> tuple[torch.Tensor, torch.Tensor]:
        """As a Split's, over its first images."""
        few = slice(STATISTICS_OF)
        return self._held(self.numbers[few], self.labels[few]).channel_statistics

    def loader(self) -> "StreamedEpochs":
        return StreamedEpochs(self)


class StreamedEpochs:
    """Loads the epochs of one training on a streamed split, each image cropped at random."""

    def __init__(self, split: StreamedSplit):
        self.split = split
        self._on_gpu = split.labels.device.type == "cuda"
        self._loader = Loader(split.pictures, split.dataset.workers, pinned=self._on_gpu)

    def batches(
        self, parts: list[torch.Tensor], generator: torch.Generator
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """The images of each part, places (B,) in the split, as a Split's batch, and their labels.

        generator: what the seed of an epoch's crops is drawn from, on the CPU; each image's crop
        depends on that seed and its place alone, whatever else is loaded, and by whom.
        """
        epoch = int(torch.randint(2**31, (), generator=generator))
        items = [
            [(int(self.split.numbers[place]), epoch << 31 | place) for place in part.tolist()]
            for part in parts
        ]
        for part, images in zip(parts, self._loader.epoch(items), strict=True):
            device = self.split.labels.device
            images = images.to(device, non_blocking=self._on_gpu)
            images = images.to(torch.float32, memory_format=torch.channels_last)
            yield images.div_(255), self.split.labels[part.to(device)]


@dataclass(frozen=True)
class Splits:
    train: Split | StreamedSplit
    validation: Split


def read_as_promised(dataset: Dataset, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
    """`dataset.read(part)`, held against what the data set says of itself.

    Raises ValueError, one line: other numbers would be trained on without a word.
    """
    said = f"{type(dataset).__name__}.read({part!r})"
    try:
        images, labels = dataset.read(part)
    except ValueError:
        raise
    except Exception as error:  # whatever a data set of the user's does
        raise ValueError(f"{said} failed: {type(error).__name__}: {error}") from error
    shape, wanted = getattr(images, "shape", ()), tuple(dataset.image_shape)
    if getattr(images, "dtype", None) != numpy.uint8 or tuple(shape[1:]) != wanted:
        raise ValueError(
            f"{said}: its images are {getattr(images, 'dtype', type(images).__name__)} of shape "
            f"{tuple(shape)}; uint8 (N, {', '.join(map(str, wanted))}) are needed"
        )
    legal = f"int64 (N,) from 0 to {dataset.classes - 1} are needed"
    if getattr(labels, "dtype", None) != numpy.int64 or labels.shape != shape[:1]:
        raise ValueError(
            f"{said}: its labels are {getattr(labels, 'dtype', type(labels).__name__)} of shape "
            f"{getattr(labels, 'shape', ())} for {len(images):,} images; {legal}"
        )
    if not len(labels) or labels.min() < 0 or labels.max() >= dataset.classes:
        found = f"{labels.min()} to {labels.max()}" if len(labels) else "none"
        raise ValueError(f"{said}: its labels are {found}; {legal}")
    promised = dataset.official_train_images
    if part == "train" and len(images) != promised:
        raise ValueError(
            f"{said}: it returned {len(images):,} images; official_train_images says {promised:,}"
        )
    return images, labels


@lru_cache(maxsize=2)  # one search uses one; a second one leaves room for comparing two
def open_splits(dataset: Dataset, device: str) -> Splits:
    """Training and validation images on `device`, both from the official training split."""
    first_train, end = dataset.validation, dataset.validation + dataset.train_images
    if isinstance(dataset, ImageStream):
        pictures, labels = dataset.files("train")
        order = stratified_order(labels, dataset.seed)
        train, validation = order[first_train:end], order[:first_train]
        return Splits(
            train=streamed(dataset, pictures, train, labels, device),
            validation=Split.on(device, dataset.centres(pictures, validation), labels[validation]),
        )
    images, labels = read_as_promised(dataset, "train")
    order = stratified_order(labels, dataset.seed)
    train, validation = order[first_train:end], order[:first_train]
    return Splits(
        train=Split.on(device, images[train], labels[train]),
        validation=Split.on(device, images[validation], labels[validation]),
    )


def streamed(
    dataset: ImageStream,
    pictures: Pictures,
    numbers: numpy.ndarray,
    labels: numpy.ndarray,
    device: str,
) -> StreamedSplit:
    """These of the pictures of a data set, whose labels are all of `labels`."""
    return StreamedSplit(dataset, pictures, numbers, torch.from_numpy(labels[numbers]).to(device))
