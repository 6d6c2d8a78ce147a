"""A network as a chain of layers, and what can be known of it without building it.

Stdlib only, so that a search can count parameters and refuse shapes before torch is imported.
`problems.networks.chain` builds the same chain in torch; a test holds the two equal.
"""

from collections.abc import Iterable
from dataclasses import dataclass

Shape = tuple[int, ...]  # (channels, height, width) before the head, (features,) in it


@dataclass(frozen=True)
class Conv:
    """A 2D convolution with bias.  `padding` is "same" (stride 1) or "valid"."""

    filters: int
    kernel: int
    activation: str
    stride: int = 1
    padding: str = "same"


@dataclass(frozen=True)
class GlobalAveragePool:
    """The mean of each channel over its whole plane."""


@dataclass(frozen=True)
class Linear:
    """A fully connected layer with bias."""

    units: int
    activation: str


Layer = Conv | GlobalAveragePool | Linear
Chain = tuple[Layer, ...]


@dataclass(frozen=True)
class Count:
    """What one layer of a chain costs on one image.

    macs: multiply-accumulates of convolutions and linear layers; additions of biases, activations
    and pooling are not counted, as is the custom (fvcore, ptflops).
    """

    layer: Layer
    shape: Shape
    conv_params: int = 0
    fc_params: int = 0
    macs: int = 0

    @property
    def params(self) -> int:
        return self.conv_params + self.fc_params


class ShapeCollapsed(ValueError):
    """A layer's output would have no pixels left."""


def count(chain: Iterable[Layer], image_shape: Shape) -> list[Count]:
    """The cost and output shape of each layer, from images of (channels, height, width).

    Raises ShapeCollapsed for the first layer whose window is larger than its input.

    >>> [c.params for c in count((Conv(16, 4, "gelu"), GlobalAveragePool(), Linear(10, "relu")),
    ...                          (1, 28, 28))]
    [272, 0, 170]
    """
    counts = []
    shape = image_shape
    for position, layer in enumerate(chain, start=1):
        match layer:
            case Conv(filters, kernel, _, stride, padding):
                channels, height, width = shape
                if padding == "valid":
                    height = (height - kernel) // stride + 1
                    width = (width - kernel) // stride + 1
                if height < 1 or width < 1:
                    raise ShapeCollapsed(
                        f"layer {position}: a kernel of {kernel} does not fit "
                        f"{shape[1]}x{shape[2]} pixels"
                    )
                weights = kernel * kernel * channels * filters
                shape = (filters, height, width)
                counts.append(
                    Count(
                        layer,
                        shape,
                        conv_params=weights + filters,
                        macs=weights * height * width,
                    )
                )
            case GlobalAveragePool():
                shape = shape[:1]
                counts.append(Count(layer, shape))
            case Linear(units, _):
                (features,) = shape
                shape = (units,)
                counts.append(
                    Count(layer, shape, fc_params=features * units + units, macs=features * units)
                )
    return counts
