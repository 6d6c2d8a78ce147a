"""The official test images, and everything else to train on: for a report after a search.

The only module that reads the test split.  A search does not import it; a test holds it to that.
"""

from dataclasses import dataclass
from functools import lru_cache

from problems.datasets.dataset import Dataset
from problems.datasets.image_stream import ImageStream
from problems.datasets.splits import Split, StreamedSplit, read_as_promised, streamed
from problems.datasets.stratified import stratified_order


@dataclass(frozen=True)
class FinalSplits:
    """train: what a search trains and validates on, together; test: the official test split."""

    train: Split | StreamedSplit
    test: Split


@lru_cache(maxsize=1)
def open_final_splits(dataset: Dataset, device: str) -> FinalSplits:
    """The images of a final training on `device`.  Raises ValueError if there are none to test."""
    many = dataset.validation + dataset.train_images
    train: Split | StreamedSplit
    if isinstance(dataset, ImageStream):
        pictures, labels = dataset.files("train")
        chosen = stratified_order(labels, dataset.seed)[:many]
        train = streamed(dataset, pictures, chosen, labels, device)
    else:
        images, labels = read_as_promised(dataset, "train")
        chosen = stratified_order(labels, dataset.seed)[:many]
        train = Split.on(device, images[chosen], labels[chosen])
    return FinalSplits(train=train, test=Split.on(device, *read_as_promised(dataset, "test")))
