"""A network as a chain of layers, and what can be known of it without building it.

Stdlib only, so that a search can count parameters and refuse shapes before torch is imported.
`problems.networks.chain` builds the same chain in torch; a test holds the two equal.
"""

from collections.abc import Iterable
from itertools import pairwise
from math import prod

from problems.spaces.layers import Count, Layer, Shape, ShapeCollapsed

Chain = tuple[Layer, ...]


def count(chain: Iterable[Layer], image_shape: Shape) -> list[Count]:
    """The cost and output shape of each layer, from images of (channels, height, width).

    Raises ShapeCollapsed for the first layer whose window is larger than its input, ValueError for
    one that does not fit otherwise, or that is no layer.

    >>> from problems.spaces.layers import Conv, GlobalAveragePool, Linear
    >>> [c.params for c in count((Conv(16, 4, "gelu"), GlobalAveragePool(), Linear(10, "relu")),
    ...                          (1, 28, 28))]
    [272, 0, 170]
    """
    counts: list[Count] = []
    for position, layer in enumerate(chain, start=1):
        if not isinstance(layer, Layer):
            raise ValueError(
                f"layer {position}: {layer!r} is no layer; a layer of your own inherits from Layer "
                "or Block of problems.spaces.layers"
            )
        try:
            counts.append(layer.count(counts[-1].shape if counts else image_shape))
        except ShapeCollapsed as collapsed:
            raise ShapeCollapsed(f"layer {position}: {collapsed}") from None
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
