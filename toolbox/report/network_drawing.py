"""A network drawn layer by layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log, prod

from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from toolbox.report.figures import Plot

GREY = "#8a93a3"
FILLS = {"conv": "#0072B2", "pool": "#009E73", "linear": "#D55E00"}


@dataclass(frozen=True)
class Layer:
    """One row of the drawing.

    kind: "image", "conv", "pool", "linear" or "other", for its colour.  shape: of its output.
    """

    name: str
    shape: tuple[int, ...]
    params: int = 0
    macs: int = 0
    kind: str = "other"

    @property
    def size(self) -> str:
        """The shape for a person, like 16 x 28 x 28."""
        return " \N{MULTIPLICATION SIGN} ".join(map(str, self.shape))


def network_plot(architecture: str, layers: Sequence[Layer]) -> Plot:
    """The layers from top to bottom, as wide as the logarithm of their output.

    The first layer is the image.
    """
    rows = len(layers) + 2  # and the head and the sum
    figure = Figure(figsize=(9.6, 0.42 * rows + 0.3))
    subplot = figure.add_axes((0.01, 0.01, 0.98, 0.98))
    subplot.set_xlim(0, 100)
    subplot.set_ylim(rows, 0)
    subplot.axis("off")
    ends = {
        "output": (62, "right"),
        "parameters": (78, "right"),
        "multiply-accumulates": (99, "right"),
    }
    for text, (x, side) in ends.items():
        subplot.text(x, 0.5, text, ha=side, va="center", color="#4a5464", fontsize=10)
    largest = max(log(1 + prod(layer.shape)) for layer in layers)
    for row, layer in enumerate(layers, start=1):
        width = 17 * log(1 + prod(layer.shape)) / largest
        box = FancyBboxPatch(
            *((9.5 - width / 2, row + 0.12), width, 0.76),
            boxstyle="round,pad=0,rounding_size=0.6",
            mutation_aspect=0.12,
            facecolor=FILLS.get(layer.kind, GREY),
            alpha=0.75,
            linewidth=0,
        )
        subplot.add_patch(box)
        subplot.text(20, row + 0.5, layer.name, va="center", fontsize=10)
        numbers = [layer.size, *(f"{n:,}" if n else "-" for n in (layer.params, layer.macs))]
        for text, (x, side) in zip(numbers, ends.values(), strict=True):
            subplot.text(x, row + 0.5, text, ha=side, va="center", fontsize=10)
    subplot.axhline(rows - 1, color=GREY, lw=0.8)
    sums = ("", sum(layer.params for layer in layers), sum(layer.macs for layer in layers))
    for value, (x, side) in zip(sums, ends.values(), strict=True):
        text = f"{value:,}" if value != "" else ""
        subplot.text(x, rows - 0.5, text, ha=side, va="center", weight="bold", fontsize=10)
    times = "\N{MULTIPLICATION SIGN}"
    caption = (
        f"{architecture}  Shapes are channels {times} height {times} width of each layer's output."
    )
    return Plot("network", "The best network, layer by layer", figure, caption)
