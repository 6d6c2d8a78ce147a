"""A network as a chain of layers, and what can be known of it without building it.

Stdlib only, so that a search can count parameters and refuse shapes before torch is imported.
`problems.networks.chain` builds the same chain in torch; a test holds the two equal.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from math import prod

from problems.spaces.blocks import Block, ConvNorm, InvertedResidual, Shuffle, count_block

Shape = tuple[int, ...]  # (channels, height, width) before the head, (features,) in it


@dataclass(frozen=True)
class Conv:
    """A 2D convolution with bias, then batch norm if asked for, then the activation.

    `padding` is "same" (stride 1) or "valid".
    """

    filters: int
    kernel: int
    activation: str
    stride: int = 1
    padding: str = "same"
    batch_norm: bool = False


@dataclass(frozen=True)
class Pool:
    """A "max" or "average" pool over windows of 2x2 pixels, stride 2; odd rests are dropped."""

    kind: str


@dataclass(frozen=True)
class GlobalAveragePool:
    """The mean of each channel over its whole plane."""


@dataclass(frozen=True)
class Flatten:
    """Every channel and pixel as one feature."""


@dataclass(frozen=True)
class Linear:
    """A fully connected layer with bias, then the activation, if it has one, then dropout."""

    units: int
    activation: str = ""
    dropout: float = 0.0


Layer = Conv | Pool | GlobalAveragePool | Flatten | Linear | Block
Chain = tuple[Layer, ...]


@dataclass(frozen=True)
class Count:
    """What one layer of a chain costs on one image.

    macs: multiply-accumulates of convolutions and linear layers; additions of biases, batch norm,
    activations and pooling are not counted, as is the custom (fvcore, ptflops).  norm_params: the
    scales and shifts of batch norm.  weighted: how many convolutions and linear layers it is.
    widest: the largest input and output of one of them together, inside of it.
    """

    layer: Layer
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
            case Conv(filters, kernel, _, stride, padding, batch_norm):
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
                        norm_params=2 * filters if batch_norm else 0,
                        macs=weights * height * width,
                        weighted=1,
                    )
                )
            case ConvNorm() | InvertedResidual() | Shuffle():
                channels, height, width = shape
                block = count_block(layer, (channels, height, width))
                shape = block.shape
                counts.append(
                    Count(
                        layer,
                        shape,
                        conv_params=block.conv_params,
                        norm_params=block.norm_params,
                        macs=block.macs,
                        weighted=block.convolutions,
                        widest=block.widest,
                    )
                )
            case Pool():
                if min(shape[1:]) < 2:
                    raise ShapeCollapsed(
                        f"layer {position}: a pool of 2x2 does not fit {shape[1]}x{shape[2]} pixels"
                    )
                shape = (shape[0], shape[1] // 2, shape[2] // 2)
                counts.append(Count(layer, shape))
            case GlobalAveragePool():
                shape = shape[:1]
                counts.append(Count(layer, shape))
            case Flatten():
                shape = (prod(shape),)
                counts.append(Count(layer, shape))
            case Linear(units):
                (features,) = shape
                shape = (units,)
                counts.append(
                    Count(
                        layer,
                        shape,
                        fc_params=features * units + units,
                        macs=features * units,
                        weighted=1,
                    )
                )
    return counts


def misfit(chain: Iterable[Layer], image_shape: Shape) -> str:
    """Why a chain does not fit the images; empty if it does."""
    try:
        count(chain, image_shape)
    except ShapeCollapsed as collapsed:
        return str(collapsed)
    return ""


def totals(counts: Iterable[Count], image_shape: Shape) -> dict[str, int]:
    """What a whole network costs on one image, by the names of a measurement.

    layers: those with weights.  memory_bytes: what an inference in float32 needs at least, the
    weights and the largest input and output of one layer together.
    """
    counts = list(counts)
    values = [prod(image_shape), *(prod(c.shape) for c in counts)]
    largest = max(
        *(before + after for before, after in pairwise(values)), *(c.widest for c in counts)
    )
    params = sum(c.params for c in counts)
    return {
        "params": params,
        "conv_params": sum(c.conv_params for c in counts),
        "fc_params": sum(c.fc_params for c in counts),
        "macs": sum(c.macs for c in counts),
        "layers": sum(c.weighted for c in counts),
        "memory_bytes": 4 * (params + largest),
    }
