"""What every data set of images declares, and how it is split.

A data set reads its official training and test images as uint8; `problems.datasets.splits` carves
validation out of the training images.  A search never reads the test split; only
`problems.datasets.final_splits` does.
"""

import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import numpy
import platformdirs
from annotated_types import Ge

Part = Literal["train", "test"]
ROOT_VARIABLE = "DEAP_NAS_DATA"


class DataMissing(ValueError):
    """The images are not on this machine and could not be fetched."""


@dataclass(frozen=True, kw_only=True)
class Dataset(ABC):
    """`validation` images are carved out of train, then `limit` (default: all) are trained on.

    Both are the first ones of one stratified shuffle seeded by `seed`, so that a smaller `limit`
    changes neither the validation images nor the class proportions.
    """

    validation: Annotated[int, Ge(1)]
    limit: Annotated[int, Ge(1)] | None = None
    seed: int = 0

    image_shape: ClassVar[tuple[int, int, int]]  # channels, height, width
    classes: ClassVar[int]
    official_train_images: ClassVar[int]

    def __post_init__(self) -> None:
        if not self.official_train_images:
            return  # not known before `located`
        left = self.official_train_images - self.validation
        if left < 1:
            raise ValueError(
                f"validation = {self.validation}: there are {self.official_train_images} "
                "images to carve it from"
            )
        if self.limit is not None and self.limit > left:
            raise ValueError(f"limit = {self.limit}: {left} training images are left at most")

    @property
    def train_images(self) -> int:
        """How many images a network is trained on in one epoch."""
        return self.limit or self.official_train_images - self.validation

    def located(self) -> "Dataset":
        """The same data set with every place it reads from, and its size, spelled out."""
        return self

    def require(self) -> None:  # noqa: B027  (most have nothing to fetch)
        """Make sure that `read` will work, or raise DataMissing."""

    def notices(self) -> list[str]:
        """What a person should know of a located data set before a search begins, a line each."""
        return []

    def class_names(self) -> list[str]:
        """What the classes are called, in the order of their labels."""
        return [str(label) for label in range(self.classes)]

    @abstractmethod
    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        """images (N, C, H, W) uint8 and labels (N,) int64 of an official split."""


def data_root(root: str) -> str:
    """Where downloaded data sets lie: DEAP_NAS_DATA, else `root`, else the user's cache folder."""
    chosen = os.environ.get(ROOT_VARIABLE) or root or platformdirs.user_cache_dir("deap-nas")
    return str(Path(chosen).expanduser().absolute())
