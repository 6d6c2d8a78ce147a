"""A convolution with its activation."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from problems.spaces.layers.layer import Count, Layer, Shape, ShapeCollapsed, convolving


@dataclass(frozen=True)
class Conv(Layer):
    """A 2D convolution with bias, then batch norm if asked for, then the activation.

    `padding` is "same" (stride 1) or "valid".

    >>> Conv(16, 4, "gelu").count((1, 28, 28)).params
    272
    """

    filters: int
    kernel: int
    activation: str
    stride: int = 1
    padding: str = "same"
    batch_norm: bool = False

    drawn_as: ClassVar[Literal["conv"]] = "conv"

    def count(self, shape: Shape) -> Count:
        channels, height, width = shape
        if self.padding == "valid":
            height = (height - self.kernel) // self.stride + 1
            width = (width - self.kernel) // self.stride + 1
        if height < 1 or width < 1:
            raise ShapeCollapsed(
                f"a kernel of {self.kernel} does not fit {shape[1]}x{shape[2]} pixels"
            )
        weights = self.kernel * self.kernel * channels * self.filters
        return Count(
            (self.filters, height, width),
            conv_params=weights + self.filters,
            norm_params=2 * self.filters if self.batch_norm else 0,
            macs=weights * height * width,
            weighted=1,
        )

    @property
    def said(self) -> str:
        norm = ["batch norm"] if self.batch_norm else []
        return convolving("conv", self.filters, self.kernel, self.stride, *norm, self.activation)
