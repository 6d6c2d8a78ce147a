"""Data sets of images: official splits as uint8 arrays, validation carved out of train."""

from problems.datasets.digits import Digits
from problems.datasets.image_stream import ImageStream
from problems.datasets.own_images import HuggingFace, ImageFolder
from problems.datasets.torchvision_sets import Cifar10, FashionMnist

DATASETS = {
    "cifar10": Cifar10,
    "digits": Digits,
    "fashion_mnist": FashionMnist,
    "hugging_face": HuggingFace,
    "image_folder": ImageFolder,
    "image_stream": ImageStream,
}
