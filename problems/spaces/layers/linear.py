"""A fully connected layer with its activation."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from problems.spaces.layers.layer import Count, Layer, Shape


@dataclass(frozen=True)
class Linear(Layer):
    """A fully connected layer with bias, then the activation, if it has one, then dropout."""

    units: int
    activation: str = ""
    dropout: float = 0.0

    drawn_as: ClassVar[Literal["linear"]] = "linear"

    def count(self, shape: Shape) -> Count:
        if len(shape) != 1:
            raise ValueError(
                f"linear {self.units} takes features and not planes of shape {shape}: a Flatten or "
                "a GlobalAveragePool comes before it"
            )
        (features,) = shape
        return Count(
            (self.units,),
            fc_params=features * self.units + self.units,
            macs=features * self.units,
            weighted=1,
        )

    @property
    def said(self) -> str:
        parts = [f"linear {self.units}", *([self.activation] if self.activation else [])]
        parts += [f"dropout {self.dropout:g}"] if self.dropout else []
        return ", ".join(parts)
