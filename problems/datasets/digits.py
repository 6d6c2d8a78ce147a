"""Scikit-learn's bundled handwritten digits: 1,797 images of 8x8, no download.

Source: Alpaydin & Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998.
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar

import numpy
from annotated_types import Ge

from problems.datasets.dataset import Dataset, Part
from problems.datasets.stratified import stratified_order

IMAGES = 1797
BUNDLED = "datasets/data/digits.csv.gz"  # in scikit-learn's folder
TEST_IMAGES = 360  # there is no official test split; this one is the same for every declaration


@dataclass(frozen=True, kw_only=True)
class Digits(Dataset):
    """The digits 0 to 9 in grey, resized (bilinear) to `size` x `size` pixels."""

    validation: Annotated[int, Ge(1)] = 360
    size: Annotated[int, Ge(8)] = 8

    classes: ClassVar[int] = 10
    official_train_images: ClassVar[int] = IMAGES - TEST_IMAGES

    @property
    def image_shape(self) -> tuple[int, int, int]:  # type: ignore[override]
        return (1, self.size, self.size)

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        import torch

        images, labels = _images_and_labels()
        order = stratified_order(labels, seed=0)
        chosen = order[:TEST_IMAGES] if part == "test" else order[TEST_IMAGES:]
        grey = torch.from_numpy(images[chosen]).float().view(-1, 1, 8, 8) * (255 / 16)
        if self.size != 8:
            grey = torch.nn.functional.interpolate(
                grey, (self.size, self.size), mode="bilinear", align_corners=False
            )
        return grey.round().to(torch.uint8).numpy(), labels[chosen].astype(numpy.int64)


def _images_and_labels() -> tuple[numpy.ndarray, numpy.ndarray]:
    """What `sklearn.datasets.load_digits` returns: (1797, 64) of 0 to 16, and (1797,) of 0 to 9.

    Its file is read without scikit-learn, whose import takes 1.3 s in each process that trains.
    """
    package = find_spec("sklearn")
    if package and package.origin and (file := Path(package.origin).parent / BUNDLED).exists():
        table = numpy.loadtxt(file, delimiter=",")
        return table[:, :-1], table[:, -1].astype(numpy.int64)
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return images, labels
