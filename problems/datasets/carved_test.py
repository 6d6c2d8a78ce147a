"""A test part carved out of images that came without one."""

from dataclasses import dataclass, field
from typing import Any

import numpy

from problems.datasets.dataset import DataMissing, Dataset, Part
from problems.datasets.stratified import stratified_order


@dataclass(frozen=True, kw_only=True)
class CarvedTest(Dataset):
    """`test`: how many of the training images are kept to be tested on, a number or a share of all.

    They are the first ones of one stratified shuffle that no `seed` changes, so that no search sees
    what another one is tested on.  None: the data set has test images of its own, or none at all.
    """

    # A supernet's file of before the field was there is found by its identity without it.
    test: int | float | None = field(default=None, metadata={"later": True})

    def __post_init__(self) -> None:
        super().__post_init__()
        share = isinstance(self.test, float)
        if self.test is not None and not (0 < self.test < 1 if share else self.test >= 1):
            raise ValueError(
                f"test = {self.test}: a share of the images, more than 0 and less than 1, or a "
                "number of images of at least 1 is needed"
            )

    def carved(self, labels: numpy.ndarray, part: Part) -> numpy.ndarray:
        """Which of the training images with these labels (N,) belong to a part, in their order.

        Raises ValueError if there are too few, and DataMissing if there is no such part.
        """
        if self.test is None:
            if part == "test":
                raise DataMissing(f"there are no images to be tested on; {self.how_to_test()}")
            return numpy.arange(len(labels))
        classes, number_of = numpy.unique(labels, return_counts=True)
        many = round(self.test * len(labels)) if isinstance(self.test, float) else self.test
        order = stratified_order(labels, seed=0)
        kept, left = numpy.sort(order[:many]), numpy.sort(order[many:])
        for some in (kept, left):
            if missing := set(classes) - set(labels[some]):
                fewest = number_of.min()
                raise ValueError(
                    f"test = {self.test}: of {len(labels):,} images in {len(classes)} classes, the "
                    f"smallest of {fewest:,}, it leaves {len(missing)} classes without an image to "
                    f"{'be tested' if some is kept else 'train'} on"
                )
        return kept if part == "test" else left

    def how_to_test(self) -> str:
        """What a person can do who wants test images."""
        return "test = 0.2 keeps a fifth of the images for that, which no search sees"

    def untested(self, where: str) -> str:
        """What to say at the start of a search whose networks cannot be tested."""
        return (
            f"{where}, so the networks of this search cannot be retrained, scored on test images "
            f"or exported; {self.how_to_test()}"
        )


def require_classes(key: str, names: Any) -> None:
    """Raise ValueError that begins with the key if there is nothing to tell apart."""
    if len(names) < 2:
        one = f"one class, {str(names[0])!r}" if names else "no class"
        raise ValueError(f"{key}: it has {one}; a classifier needs two or more")
