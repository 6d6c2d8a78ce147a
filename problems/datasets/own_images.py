"""Images of the user's own: a folder on disk, or anything that the Hugging Face library loads.

How many images and classes there are is known only when they are read, so `located` reads what it
must and returns the data set with its numbers filled in.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy
from annotated_types import Ge, MinLen

from problems.datasets.dataset import DataMissing, Dataset, Part


def digest(content: Any) -> str:
    """A short digest of plain data."""
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()


@dataclass(frozen=True, kw_only=True)
class OwnImages(Dataset):
    """Images of any size, resized (bilinear, antialiased) to `size` x `size` pixels.

    channels: 1 grey, 3 colour.  Validation is carved out of the training images.
    """

    size: Annotated[int, Ge(8)] = 32
    channels: Literal[1, 3] = 3
    classes: int = field(default=0, metadata={"declared": False})  # type: ignore[misc]
    official_train_images: int = field(default=0, metadata={"declared": False})  # type: ignore[misc]
    # What stands in the folder may change under the same name, so it belongs to what is measured.
    fingerprint: str = field(default="", metadata={"declared": False, "identity": True})

    @property
    def image_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        return (self.channels, self.size, self.size)

    def _pixels(self, images: Iterable[Any]) -> numpy.ndarray:
        """PIL images as one array (N, C, size, size) uint8."""
        from PIL.Image import Resampling

        mode = "L" if self.channels == 1 else "RGB"
        resized = [
            numpy.asarray(image.convert(mode).resize((self.size, self.size), Resampling.BILINEAR))
            for image in images
        ]
        stacked = numpy.stack(resized).reshape(len(resized), self.size, self.size, self.channels)
        return numpy.ascontiguousarray(stacked.transpose(0, 3, 1, 2))


@dataclass(frozen=True, kw_only=True)
class ImageFolder(OwnImages):
    """Image files in `root`/train/<class>/ and `root`/test/<class>/, or all in `root`/<class>/."""

    validation: Annotated[int, Ge(1)]
    root: Annotated[str, MinLen(1)] = field(metadata={"identity": False})

    def _part(self, part: Part) -> Path:
        root = Path(self.root).expanduser().absolute()
        return root if part == "train" and not (root / "train").is_dir() else root / part

    def _open(self, part: Part) -> Any:
        import torchvision.datasets

        try:
            return torchvision.datasets.ImageFolder(str(self._part(part)))
        except (FileNotFoundError, OSError) as error:
            reason = str(error).splitlines()[0]
            needed = self._needed(part)
            raise DataMissing(f"root = {self.root!r}: it must hold {needed} ({reason})") from error

    def _needed(self, part: Part) -> str:
        if part == "test":
            return "test/<class>/<image> to be tested on"
        return "train/<class>/<image> or <class>/<image>"

    def _opened(self, part: Part) -> Any:
        """The files of a part; those to test on are of the classes that are trained on."""
        opened = self._open(part)
        if part == "test" and opened.classes != (known := self.class_names()):
            # torchvision numbers the folders that it finds, so the labels would not agree.
            raise ValueError(
                f"root = {self.root!r}: {self._part(part).name}/ has the classes "
                f"{', '.join(opened.classes)}, but trained on are {', '.join(known)}"
            )
        return opened

    def located(self) -> "ImageFolder":
        opened = self._open("train")
        files = [
            (Path(path).relative_to(self._part("train")).as_posix(), Path(path).stat().st_size)
            for path, _ in opened.samples
        ]
        return replace(
            self,
            classes=len(opened.classes),
            official_train_images=len(opened.samples),
            fingerprint=digest(files),
        )

    def class_names(self) -> list[str]:
        return list(self._open("train").classes)

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        opened = self._opened(part)
        images = self._pixels(opened.loader(path) for path, _ in opened.samples)
        return images, numpy.asarray(opened.targets, dtype=numpy.int64)


@dataclass(frozen=True, kw_only=True)
class HuggingFace(OwnImages):
    """`path` (and configuration `name`) as `datasets.load_dataset` takes them, hub or local.

    image_column, label_column: any column of images, and any of integers, strings or class labels.
    Needs the package `datasets`: pip install 'deap-nas[hugging_face]'.
    """

    validation: Annotated[int, Ge(1)]
    path: str
    name: str | None = None
    train_split: str = "train"
    test_split: str = "test"
    image_column: str = "image"
    label_column: str = "label"

    def _open(self, part: Part) -> Any:
        try:
            import datasets
        except ImportError as error:
            raise DataMissing(
                "use = 'hugging_face': the package datasets is not installed; "
                "pip install 'deap-nas[hugging_face]'"
            ) from error
        split = self.train_split if part == "train" else self.test_split
        try:
            opened = datasets.load_dataset(self.path, self.name, split=split)
        except (OSError, ValueError) as error:  # all that the library raises for what is not there
            reason = str(error).splitlines()[0]
            raise DataMissing(f"path = {self.path!r}: it cannot be loaded ({reason})") from error
        for key, column in (
            ("image_column", self.image_column),
            ("label_column", self.label_column),
        ):
            if column not in opened.column_names:
                raise ValueError(
                    f"{key} = {column!r}: unknown; legal: {', '.join(opened.column_names)}"
                )
        return opened

    def located(self) -> "HuggingFace":
        opened = self._open("train")
        return replace(
            self,
            classes=len(self._names(opened)),
            official_train_images=len(opened),
            fingerprint=digest([opened.data.nbytes, list(opened[self.label_column])]),
        )

    def _names(self, opened: Any) -> list:
        """The classes: those that the column declares, else the values in it, sorted."""
        declared = getattr(opened.features[self.label_column], "names", None)
        return declared or sorted(set(opened[self.label_column]))

    def class_names(self) -> list[str]:
        return [str(name) for name in self._names(self._open("train"))]

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        opened = self._open(part)
        images = self._pixels(row[self.image_column] for row in opened)
        labels = list(opened[self.label_column])
        if not hasattr(opened.features[self.label_column], "names"):
            names = self._names(self._open("train"))
            if unknown := set(labels) - set(names):
                raise ValueError(
                    f"label_column = {self.label_column!r}: {sorted(unknown)[0]!r} is not among "
                    "the classes that are trained on"
                )
            labels = [names.index(label) for label in labels]
        return images, numpy.asarray(labels, dtype=numpy.int64)
