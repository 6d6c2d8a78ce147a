"""Fashion-MNIST and CIFAR-10 through torchvision, downloaded when they are missing.

Fashion-MNIST: Xiao, Rasul & Vollgraf, arXiv 1708.07747.  CIFAR-10: Krizhevsky, 2009.
"""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

import numpy
from annotated_types import Ge

from problems.datasets.dataset import ROOT_VARIABLE, DataMissing, Dataset, Part, data_root
from problems.first_line import first_line


@dataclass(frozen=True, kw_only=True)
class TorchvisionSet(Dataset):
    """A data set that torchvision lays out under `root` and checks against published sums."""

    validation: Annotated[int, Ge(1)] = 10_000
    # A place is not part of what is measured, so an archive does not depend on it.
    root: str = field(default="", metadata={"identity": False})

    torchvision_name: ClassVar[str]
    files: ClassVar[str]

    def located(self) -> "TorchvisionSet":
        return replace(self, root=data_root(self.root))

    def _open(self, part: Part, download: bool) -> Any:
        import torchvision.datasets

        kind = getattr(torchvision.datasets, self.torchvision_name)
        return kind(data_root(self.root), train=part == "train", download=download)

    def require(self) -> None:
        """Download the files that are missing.

        Raises DataMissing, with what to put where, if that fails.
        """
        try:
            self._open("train", download=True)
        except (OSError, RuntimeError) as error:
            reason = first_line(error) or type(error).__name__
            raise DataMissing(
                f"{self.torchvision_name} is not in {data_root(self.root)} and could not be "
                f"downloaded ({reason}); put {self.files} there, or set root or {ROOT_VARIABLE} "
                "to the folder that has them"
            ) from error

    def class_names(self) -> list[str]:
        return list(self._open("train", download=False).classes)

    def read(self, part: Part) -> tuple[numpy.ndarray, numpy.ndarray]:
        opened = self._open(part, download=False)
        images = numpy.asarray(opened.data)
        if images.ndim == 3:  # grey: (N, H, W)
            images = images[:, None]
        else:  # colour: (N, H, W, C)
            images = numpy.ascontiguousarray(images.transpose(0, 3, 1, 2))
        return images, numpy.asarray(opened.targets, dtype=numpy.int64)


@dataclass(frozen=True, kw_only=True)
class FashionMnist(TorchvisionSet):
    """60,000 training and 10,000 test images of clothes, 28x28, grey, 10 classes."""

    image_shape: ClassVar[tuple[int, int, int]] = (1, 28, 28)
    classes: ClassVar[int] = 10
    official_train_images: ClassVar[int] = 60_000
    torchvision_name: ClassVar[str] = "FashionMNIST"
    files: ClassVar[str] = "FashionMNIST/raw/{train,t10k}-{images-idx3,labels-idx1}-ubyte"


@dataclass(frozen=True, kw_only=True)
class Cifar10(TorchvisionSet):
    """50,000 training and 10,000 test photographs, 32x32, colour, 10 classes."""

    image_shape: ClassVar[tuple[int, int, int]] = (3, 32, 32)
    classes: ClassVar[int] = 10
    official_train_images: ClassVar[int] = 50_000
    torchvision_name: ClassVar[str] = "CIFAR10"
    files: ClassVar[str] = "cifar-10-python.tar.gz"
