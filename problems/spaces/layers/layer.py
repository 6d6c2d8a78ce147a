"""What every layer of a chain answers for itself."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

Shape = tuple[int, ...]  # (channels, height, width) before the head, (features,) in it


class ShapeCollapsed(ValueError):
    """A layer's output would have no pixels left."""


@dataclass(frozen=True)
class Count:
    """The output shape of one layer and what it costs on one image.

    macs: multiply-accumulates of convolutions and linear layers; additions of biases, batch norm,
    activations and pooling are not counted, as is the custom (fvcore, ptflops).  norm_params: the
    scales and shifts of batch norm.  weighted: how many convolutions and linear layers it is.
    widest: the largest input and output of one of them together, inside of it.
    """

    shape: Shape
    conv_params: int = 0
    fc_params: int = 0
    norm_params: int = 0
    macs: int = 0
    weighted: int = 0
    widest: int = 0

    @property
    def params(self) -> int:
        return self.conv_params + self.fc_params + self.norm_params


class Layer(ABC):
    """One layer of a chain: a frozen dataclass whose fields are all that it is.

    drawn_as: its kind in a drawing.
    """

    drawn_as: ClassVar[Literal["conv", "pool", "linear", "other"]] = "other"

    @abstractmethod
    def count(self, shape: Shape) -> Count:
        """Its output shape and cost on an input of `shape`.  Raises ShapeCollapsed."""

    @property
    def said(self) -> str:
        """The layer for a person, on one line."""
        fields = [f"{name} {value}" for name, value in vars(self).items()]
        return ", ".join([type(self).__name__.lower(), *fields])

    def module(self, shape: Shape) -> Any:
        """The torch module for inputs (N, *shape), which a layer of one's own makes.

        Those of this package are made by `problems.networks.chain`, because torch is not imported
        here.
        """
        raise ValueError(
            f"{type(self).__name__} cannot be built: it has no module(shape) -> torch.nn.Module"
        )


def convolving(name: str, filters: int, kernel: int, stride: int, *more: str) -> str:
    """A convolution for a person, such as "conv 16, 3x3, stride 2, relu" with a true times sign."""
    parts = [f"{name} {filters}, {kernel}\N{MULTIPLICATION SIGN}{kernel}"]
    parts += [f"stride {stride}"] if stride > 1 else []
    return ", ".join([*parts, *more])
