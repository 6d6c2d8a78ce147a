"""What a measured name means: the one table of labels, units, directions and worst values.

Objectives, tables, plots and progress read it.  A problem adds its own names by its hook
`quantities` (toolbox/problem.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from toolbox.signature import read

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Quantity:
    """A name of a measurement, or of an objective.

    label: what a person reads.  unit: of the numbers that are shown; each is `scale` times the one
    that was measured.  direction: what is good.  worst: the finite value of a network that failed;
    a name without direction and worst is no objective by itself.  percent: it is a share of 1,
    shown in percent.  counted: it is a number of things, so that few of them are "fewest".
    """

    name: str
    label: str = ""
    unit: str = ""
    direction: Direction | None = None
    worst: float | None = None
    percent: bool = False
    scale: float = 1.0
    counted: bool = False

    @property
    def words(self) -> str:
        """The label; without one, the name in words."""
        return self.label or self.name.replace("_", " ")

    @property
    def title(self) -> str:
        """The words with their unit, for an axis or the head of a column."""
        return f"{self.words} ({self.unit})" if self.unit else self.words

    @property
    def heading(self) -> str:
        """The name, for the head of a column; the title where the name tells another unit."""
        return self.name if self.scale == 1 else self.title

    def extreme(self, direction: Direction) -> str:
        """What the best value in a direction is called.

        >>> [QUANTITIES[name].extreme("minimize") for name in ("params", "train_seconds")]
        ['fewest', 'lowest']
        """
        if direction == "maximize":
            return "best"
        return "fewest" if self.counted else "lowest"

    def number(self, value: float) -> str:
        """A value without its unit.

        >>> QUANTITIES["latency_seconds"].number(0.00006991)
        '0.06991'
        >>> QUANTITIES["val_accuracy"].number(0.9), QUANTITIES["params"].number(3264.0)
        ('0.9000', '3,264')
        """
        value *= self.scale
        return f"{value:.4f}" if self.percent else as_number(value)

    def short(self, value: float) -> str:
        """A value for a line of many: with its unit, and a share as it was measured."""
        return f"{self.number(value)} {self.unit}".rstrip()

    def said(self, value: float) -> str:
        """A value with its unit.

        >>> QUANTITIES["latency_seconds"].said(0.00006991), QUANTITIES["val_accuracy"].said(0.9)
        ('0.06991 ms', '90.00 %')
        """
        return f"{100 * value:.2f} %" if self.percent else self.short(value)


def as_number(value: float) -> str:
    """A number as it is shown.

    >>> as_number(0.84051), as_number(3264.0), as_number(0.00025), as_number(10784.3)
    ('0.8405', '3,264', '0.00025', '10,784')
    """
    whole = float(value).is_integer() and abs(value) >= 1
    return f"{value:,.0f}" if whole or 1e3 <= abs(value) < 1e12 else f"{value:.4g}"


def _share(name: str, label: str) -> Quantity:
    return Quantity(name, label, direction="maximize", worst=0.0, percent=True)


def _cost(name: str, label: str, worst: float, unit: str = "", scale: float = 1.0) -> Quantity:
    return Quantity(name, label, unit, "minimize", worst, scale=scale)


def _few(name: str, label: str, worst: float) -> Quantity:
    return Quantity(name, label, direction="minimize", worst=worst, counted=True)


def _count(name: str, label: str) -> Quantity:
    return Quantity(name, label, direction="maximize", worst=-1.0, counted=True)


QUANTITIES: dict[str, Quantity] = {
    quantity.name: quantity
    for quantity in (
        _share("val_accuracy", "validation accuracy"),
        _cost("val_loss", "validation loss", 1e6),
        _share("train_accuracy", "training accuracy"),
        Quantity("train_loss", "training loss"),  # of learning curves
        _few("params", "parameters", 1e12),
        _few("conv_params", "parameters of convolutions", 1e12),
        _few("fc_params", "parameters of fully connected layers", 1e12),
        _few("macs", "multiply-accumulates per image", 1e15),
        _few("flops", "operations per image", 1e15),
        _few("layers", "layers with weights", 1e6),
        _cost("memory_bytes", "memory of an inference", 1e15, "bytes"),
        _cost("flash_bytes", "flash in 8 bits", 1e15, "KB", scale=1 / 1024),
        _cost("ram_bytes", "RAM in 8 bits", 1e15, "KB", scale=1 / 1024),
        _few("int8_macs", "8-bit multiply-accumulates per image", 1e15),
        _few("epochs", "epochs", 1e6),
        _cost("train_seconds", "training time", 1e9, "s"),
        _cost("latency_seconds", "latency of one image", 1e9, "ms", scale=1e3),
        _cost("peak_memory_bytes", "peak memory of training", 1e15, "bytes"),
        Quantity("scoring_seconds", "time of one score", "s", "minimize"),
        _count("ones", "ones"),
        _count("leading_ones", "leading ones"),
        _count("trailing_zeros", "trailing zeros"),
        # No worst, so that no search optimizes by accident what its result is judged by.  Who means
        # to declares { use = "measured", name = "test_accuracy", ... }.
        Quantity("test_accuracy", "test accuracy", direction="maximize", percent=True),
        Quantity("accuracy_per_log_params", "accuracy (%) / ln(parameters)"),
        Quantity("accuracy_per_log_params_per_second", "accuracy (%) / ln(parameters) / s"),
        Quantity("penalized_accuracy", "accuracy less penalty for size"),
    )
}


def quantities_with(own: Mapping[str, Mapping[str, Any]]) -> dict[str, Quantity]:
    """The table with the names that a problem adds.

    Raises ValueError that names the problem's `quantities` if one of them is described wrongly.
    """
    added = {
        name: read(Quantity, {"name": name, **described}, f"problem.quantities.{name}")
        for name, described in own.items()
    }
    return {**QUANTITIES, **added}


def meant(name: str, table: Mapping[str, Quantity]) -> Quantity:
    """What a name means; a name that nobody described is its own label."""
    return table.get(name) or Quantity(name)
