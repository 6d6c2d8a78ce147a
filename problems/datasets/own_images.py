"""Images of the user's own: a folder on disk, or anything that the Hugging Face library loads.

How many images and classes there are is known only when they are read, so `located` reads what it
must and returns the data set with its numbers filled in.
"""

import logging
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy
from annotated_types import Ge, MinLen

from problems.datasets.carved_test import CarvedTest, require_classes
from problems.datasets.dataset import DataMissing, Part
from problems.datasets.readable import Picture, require_readable
from problems.digest import digest
from problems.first_line import first_line


@dataclass(frozen=True, kw_only=True)
class OwnImages(CarvedTest):
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

        class Shown(torchvision.datasets.ImageFolder):  # type: ignore[misc, unused-ignore]  # untyped
            """Without what is hidden, such as .ipynb_checkpoints and the ._ files of a Mac."""

            def find_classes(self, directory: str) -> tuple[list[str], dict[str, int]]:
                found, _ = super().find_classes(directory)
                names = [name for name in found if not name.startswith(".")]
                return names, {name: number for number, name in enumerate(names)}

        folder, left_out = str(self._part(part)), Counter[str]()

        def is_taken(path: str) -> bool:
            if f"{os.sep}." in path[len(folder) :]:
                return False
            if path.lower().endswith(torchvision.datasets.folder.IMG_EXTENSIONS):
                return True
            left_out[Path(path).suffix or Path(path).name] += 1
            return False

        try:
            opened = Shown(folder, is_valid_file=is_taken)
            opened.left_out = left_out
            return opened
        except (FileNotFoundError, OSError) as error:
            reason = first_line(error)
            needed = self._needed(part)
            raise DataMissing(f"root = {self.root!r}: it must hold {needed} ({reason})") from error

    def _needed(self, part: Part) -> str:
        if part == "test":
            return f"test/<class>/<image> to be tested on, or {self.how_to_test()}"
        return "train/<class>/<image> or <class>/<image>"

    def _samples(self, part: Part) -> tuple[list[str], numpy.ndarray]:
        """The files of a part and their labels (N,) int64, of the classes that are trained on."""
        opened = self._open("train")
        if part == "test" and self.test is None:
            known, opened = opened.classes, self._open("test")
            if opened.classes != known:
                # torchvision numbers the folders that it finds, so the labels would not agree.
                raise ValueError(
                    f"root = {self.root!r}: {self._part(part).name}/ has the classes "
                    f"{', '.join(opened.classes)}, but trained on are {', '.join(known)}"
                )
        labels = numpy.asarray(opened.targets, dtype=numpy.int64)
        chosen = numpy.arange(len(labels))
        if self.test is not None:
            chosen = self.carved(labels, part)
        return [opened.samples[number][0] for number in chosen], labels[chosen]

    @property
    def _has_test_folder(self) -> bool:
        return self._part("test").is_dir()

    def _sized(self, opened: Any) -> list[Any]:
        """What tells the files of the training part from others, as plain data."""
        start = self._part("train")
        return [
            (Path(path).relative_to(start).as_posix(), _state(path)[0])
            for path, _ in opened.samples
        ]

    def _require_no_way_back(self, opened: Any) -> None:
        """Raise ValueError for a link to a folder that is read by another path too."""
        seen: dict[str, str] = {}
        for folder in sorted({os.path.dirname(path) for path, _ in opened.samples}):
            other = seen.setdefault(os.path.realpath(folder), folder)
            if other != folder:
                raise ValueError(
                    f"root = {self.root!r}: {folder} and {other} are one folder, by a link: its "
                    "pictures would count twice; remove the link"
                )

    def located(self) -> "ImageFolder":
        opened, key = self._open("train"), f"root = {self.root!r}"
        folder = self._part("test")
        if self._has_test_folder and folder.parent == self._part("train"):
            raise ValueError(f"{key}: it has {folder.name}/ and no train/ beside it")
        require_classes(key, opened.classes)
        self._require_no_way_back(opened)
        if self.test is not None and self._has_test_folder:
            raise ValueError(f"test = {self.test}: {folder} is there to be tested on; leave it out")
        paths, _ = self._samples("train")
        return replace(
            self,
            classes=len(opened.classes),
            official_train_images=len(paths),
            fingerprint=digest(self._sized(opened)),
        )

    def require(self) -> None:
        """Make sure that each picture can be read, those to be tested on too."""
        paths, _ = self._samples("train")
        if self.test is not None or self._has_test_folder:
            paths = paths + self._samples("test")[0]
        root = Path(self.root).expanduser().absolute()
        states = [(path, *_state(path)) for path in paths]
        pictures = ((Path(path).relative_to(root).as_posix(), path) for path in paths)
        require_readable(f"root = {self.root!r}", pictures, len(paths), states)

    def notices(self) -> list[str]:
        lines = []
        if left := self._open("train").left_out:
            named = ", ".join(f"{many} {suffix}" for suffix, many in sorted(left.items()))
            lines.append(f"root = {self.root!r}: left out, as no picture by its name: {named}")
        if self.test is None and not self._has_test_folder:
            lines.append(
                self.untested(f"root = {self.root!r}: it has no {self._part('test').name}/")
            )
        return lines

    def class_names(self) -> list[str]:
        return list(self._open("train").classes)

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        from torchvision.datasets.folder import pil_loader

        paths, labels = self._samples(part)
        return self._pixels(map(pil_loader, paths)), labels


def _state(path: str) -> tuple[int, int]:
    """The size and time of a file; nothing of one that is not there, as behind a broken link."""
    try:
        found = Path(path).stat()
    except OSError:
        return (0, 0)
    return found.st_size, found.st_mtime_ns


@contextmanager
def _silent_library() -> Iterator[None]:
    """Nothing is told of each try to reach the hub: what comes of them is told once."""
    logger = logging.getLogger("huggingface_hub")
    disabled, logger.disabled = logger.disabled, True
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)  # of its parts too, which ask it for its level
    try:
        yield
    finally:
        logger.disabled = disabled
        logger.setLevel(level)


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
            with _silent_library():
                opened = datasets.load_dataset(self.path, self.name, split=split)
        except (OSError, ValueError) as error:  # all that the library raises for what is not there
            reason = first_line(error)
            if found := re.match(r"Unknown split .*Should be one of \[(.*)\]", reason):
                legal = found[1].replace("'", "")
                raise DataMissing(
                    f"{part}_split = {split!r}: it is not in {self.path!r}; legal: {legal}"
                ) from error
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
        names = self._names(opened)
        require_classes(f"label_column = {self.label_column!r}", names)
        return replace(
            self,
            classes=len(names),
            official_train_images=len(self.carved(self._labels(opened), "train")),
            fingerprint=digest([opened.data.nbytes, list(opened[self.label_column])]),
        )

    def _tested(self) -> Any:
        """The images of the test split; None if there is none."""
        try:
            return self._open("test")
        except DataMissing:
            return None

    def require(self) -> None:
        """Make sure that each picture can be read and has a label, those to be tested on too."""
        opened = [("train", self._open("train"))]
        if self.test is None and (tested := self._tested()):
            opened.append(("test", tested))
        for part, rows in opened:
            self._labels(rows)
            self._require_readable(part, rows)

    def _require_readable(self, part: str, rows: Any) -> None:
        import datasets

        if not isinstance(rows.features[self.image_column], datasets.Image):
            return  # pixels already

        def pictures() -> Iterator[Picture]:
            as_stored = datasets.Image(decode=False)
            column = rows.select_columns(self.image_column)
            for number, row in enumerate(column.cast_column(self.image_column, as_stored)):
                stored = row[self.image_column]
                name = Path(stored["path"]).name if stored["path"] else f"row {number}"
                yield f"{part}: {name}", stored["bytes"] or stored["path"]

        files = [file["filename"] for file in rows.cache_files]
        known_as = [files, rows.data.nbytes] if files else None
        require_readable(f"path = {self.path!r}", pictures(), len(rows), known_as)

    def notices(self) -> list[str]:
        if self.test is not None or self._tested():
            return []
        return [self.untested(f"path = {self.path!r}: it has no split {self.test_split!r}")]

    def _names(self, opened: Any) -> Sequence[Any]:
        """The classes: those that the column declares, else the values in it, sorted."""
        declared = getattr(opened.features[self.label_column], "names", None)
        return declared or sorted(set(opened[self.label_column]))

    def class_names(self) -> list[str]:
        return [str(name) for name in self._names(self._open("train"))]

    def _labels(self, opened: Any) -> numpy.ndarray:
        """The labels (N,) int64 of all images of a split, of the classes that are trained on."""
        labels = list(opened[self.label_column])
        if getattr(opened.features[self.label_column], "names", None) is None:
            names = self._names(self._open("train"))
            if unknown := set(labels) - set(names):
                raise ValueError(
                    f"label_column = {self.label_column!r}: {sorted(unknown)[0]!r} is not among "
                    "the classes that are trained on"
                )
            number_of = {name: number for number, name in enumerate(names)}
            labels = [number_of[label] for label in labels]
        return numpy.asarray(labels, dtype=numpy.int64)

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        own = part == "test" and self.test is None
        opened = self._open("test" if own else "train")
        labels = self._labels(opened)
        if not own:
            chosen = self.carved(labels, part)
            opened, labels = opened.select(chosen), labels[chosen]
        return self._pixels(row[self.image_column] for row in opened), labels
