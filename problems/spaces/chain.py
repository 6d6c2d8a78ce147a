"""A network as a chain of layers, and what can be known of it without building it.

Stdlib only, so that a search can count parameters and refuse shapes before torch is imported.
`problems.networks.chain` builds the same chain in torch; a test holds the two equal.
"""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from math import log1p, prod

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


def features(costs: Iterable[tuple[Sequence[int], int, int]]) -> tuple[float, ...]:
    """What the layers of a network are together like, for a learned guide: ten numbers.

    costs: the output shape, params and macs of each layer, in order.  How many layers have weights;
    the logarithms of the mean and the largest number of channels among them; the logarithm of the
    pixels that the last plane has; and of the params and of the macs in each third of the layers
    with weights.

    >>> [round(one, 1) for one in features([((8, 4, 4), 80, 1152), ((10,), 90, 80)])[:4]]
    [2.0, 2.3, 2.4, 2.8]
    """
    rows = list(costs)
    weighted = [row for row in rows if row[1]]
    if not weighted:
        return (0.0,) * 10
    channels = [shape[0] for shape, _, _ in weighted]
    planes = [shape[-2] * shape[-1] for shape, _, _ in rows if len(shape) > 2]
    thirds = [weighted[len(weighted) * n // 3 : len(weighted) * (n + 1) // 3] for n in range(3)]
    return (
        float(len(weighted)),
        log1p(sum(channels) / len(channels)),
        log1p(max(channels)),
        log1p(planes[-1] if planes else 0),
        *(log1p(sum(params for _, params, _ in third)) for third in thirds),
        *(log1p(sum(macs for _, _, macs in third)) for third in thirds),
    )
