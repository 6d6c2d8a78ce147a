"""Image files that are too many for memory: decoded and cropped by workers as they are needed.

ImageNet's shape.  Training images are cropped at random (Szegedy et al., arXiv 1409.4842) and
flipped anew in every epoch; validation and test images are resized and cropped at their centre.
Both by torchvision's transforms v2.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, ClassVar, cast

import numpy
import torch
from annotated_types import Ge, Gt, Le
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from problems.datasets.dataset import Part
from problems.datasets.own_images import ImageFolder

Item = tuple[int, int | None]  # the number of an image and the seed of its crop; None: the centre


class Pictures(TorchDataset[torch.Tensor]):
    """Image files by number, as (3, size, size) uint8.

    paths: as an array of bytes, which worker processes share or copy without 10^6 Python objects.
    """

    def __init__(self, paths: Sequence[str], size: int, resize: int, area: float, flip: bool):
        from torchvision.transforms import v2

        self.paths = numpy.array([path.encode() for path in paths])
        self._centre = v2.Compose([v2.Resize(resize), v2.CenterCrop(size), v2.PILToTensor()])
        self._random = v2.Compose(
            [
                v2.RandomResizedCrop(size, scale=(area, 1.0)),
                v2.RandomHorizontalFlip(0.5 if flip else 0.0),
                v2.PILToTensor(),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, item: Item) -> torch.Tensor:
        from torchvision.datasets.folder import pil_loader

        number, seed = item
        path = self.paths[number].decode()
        try:
            picture = pil_loader(path)
        except OSError as error:
            raise ValueError(f"{path}: the picture cannot be read: {error}") from error
        if seed is None:
            return cast(torch.Tensor, self._centre(picture))
        # The transforms draw from torch's own generator; so the crop is the same in any worker.
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cast(torch.Tensor, self._random(picture))


class _Order:
    """Gives a loader the batches that it is to load next."""

    def __init__(self) -> None:
        self.batches: list[list[Item]] = []

    def __iter__(self) -> Iterator[list[Item]]:
        return iter(self.batches)

    def __len__(self) -> int:
        return len(self.batches)


class Loader:
    """Loads epoch after epoch of one training; its worker processes live as long as it does."""

    def __init__(self, pictures: Pictures, workers: int, pinned: bool):
        self._order = _Order()
        options: dict[str, Any] = {}
        if workers:
            # Not forked: the process that trains has threads and may hold a GPU.
            options = {"persistent_workers": True, "multiprocessing_context": "spawn"}
        self._loader = DataLoader(
            pictures,
            batch_sampler=self._order,
            num_workers=workers,
            pin_memory=pinned,
            collate_fn=torch.stack,
            generator=torch.Generator(),  # else it draws from torch's own
            **options,
        )

    def epoch(self, batches: list[list[Item]]) -> Iterator[torch.Tensor]:
        """Each batch, (N, 3, size, size) uint8 on the CPU, in this order."""
        self._order.batches = batches
        return iter(self._loader)


@dataclass(frozen=True, kw_only=True)
class ImageStream(ImageFolder):
    """Image files in `root`/train/<class>/, and to be tested on at last in `root`/val/<class>/.

    size: of the crop, resize: of the shorter side before the centre is cropped.  area: the least
    share of an image that a random crop covers.  flip: mirror half of them.  workers: processes
    that load (0: none).  Validation is carved out of the training images and held in memory; the
    training images are not.
    """

    size: Annotated[int, Ge(8)] = 224
    resize: Annotated[int, Ge(8)] = 256
    area: Annotated[float, Gt(0), Le(1)] = 0.08
    flip: bool = True
    workers: Annotated[int, Ge(0)] = field(default=8, metadata={"identity": False})
    channels: ClassVar[int] = 3  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.resize < self.size:
            raise ValueError(f"resize = {self.resize}: at least size = {self.size} is needed")

    def _part(self, part: Part) -> Path:
        return Path(self.root).expanduser().absolute() / ("train" if part == "train" else "val")

    def _needed(self, part: Part) -> str:
        if part == "test":
            return f"val/<class>/<image> to be tested on, or {self.how_to_test()}"
        return "train/<class>/<image>"

    def _sized(self, opened: Any) -> list[Any]:
        # Names alone: to ask for a million sizes takes minutes.
        start = self._part("train")
        return [Path(path).relative_to(start).as_posix() for path, _ in opened.samples]

    def require(self) -> None:
        """Make sure that the folders hold the same classes; to decode a million pictures for that
        takes longer than an epoch, so an unreadable one is named when its turn comes."""
        if self._has_test_folder:
            self._samples("test")

    def files(self, part: Part) -> tuple[Pictures, numpy.ndarray]:
        """The images of a part, none of them read yet, and their labels (N,) int64."""
        paths, labels = self._samples(part)
        return Pictures(paths, self.size, self.resize, self.area, self.flip), labels

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        pictures, labels = self.files(part)
        return self.centres(pictures, numpy.arange(len(labels))), labels

    def centres(self, pictures: Pictures, numbers: numpy.ndarray) -> numpy.ndarray:
        """These images as (N, 3, size, size) uint8, cropped at their centre."""
        with ThreadPoolExecutor(max(1, self.workers)) as threads:
            loaded = threads.map(lambda number: pictures[int(number), None].numpy(), numbers)
            return numpy.stack(list(loaded))
