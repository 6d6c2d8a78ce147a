"""Data functions as users write them, for tests."""

import itertools
from dataclasses import dataclass
from typing import ClassVar

import numpy

from problems.datasets.dataset import Dataset, Part

LABELS = [0, 1] * 20
IMAGES = numpy.zeros((40, 8, 8), numpy.uint8)
IMAGES[1::2, 2:6, 2:6] = 255
IMAGES[0, 0, :3] = (51, 102, 204)

returned: tuple = ()
calls = itertools.count()


def whatever():
    return returned


def squares(bright: int = 255):
    labels = ["dark", "bright"] * 50
    images = numpy.zeros((100, 8, 8), numpy.uint8)
    images[1::2, 2:6, 2:6] = bright
    return images, labels


def noise(seed=7):
    return numpy.random.default_rng(seed).random((40, 8, 8)), LABELS


def fails():
    return {}["nothing"]


def not_a_pair():
    return IMAGES


def random():
    return IMAGES + numpy.uint8(next(calls)), LABELS


def needs(width: int):
    return IMAGES[:, :, :width], LABELS


def takes_limit(limit=3):
    return IMAGES, LABELS


@dataclass(frozen=True, kw_only=True)
class Blank(Dataset):
    classes: ClassVar[int] = 2
    image_shape: ClassVar[tuple[int, int, int]] = (1, 8, 8)
    official_train_images: ClassVar[int] = 40

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        return IMAGES[:, None], numpy.array(LABELS)


def blank(validation: int) -> Blank:
    return Blank(validation=validation)
