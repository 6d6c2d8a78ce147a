"""What is plotted: a quantity along an axis or as a colour, in a direction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy
from matplotlib.ticker import FuncFormatter

from toolbox.objectives import OBJECTIVES
from toolbox.objectives.objective import Objective
from toolbox.quantities import Quantity, meant
from toolbox.report.evaluations import Evaluations

COSTS = ("params", "macs", "train_seconds")
QUALITY = "val_accuracy"


@dataclass(frozen=True)
class Axis:
    """A quantity of each network, and whether much of it is good."""

    quantity: Quantity
    maximize: bool

    @property
    def name(self) -> str:
        return self.quantity.name

    @property
    def label(self) -> str:
        return self.quantity.title

    @property
    def formatter(self) -> FuncFormatter:
        """Of the numbers along the axis."""
        if self.quantity.percent:
            return FuncFormatter(lambda value, _: f"{100 * value:.4g} %")
        return FuncFormatter(lambda value, _: with_prefix(value * self.quantity.scale))

    def values(self, run: Evaluations) -> numpy.ndarray:
        """(networks,), NaN where it is not known."""
        return run.column(self.name)

    def losses(self, run: Evaluations) -> numpy.ndarray:
        """(networks,), smaller is better, NaN where it is not known."""
        return -self.values(run) if self.maximize else self.values(run)

    def said(self, value: float) -> str:
        """A value with its unit."""
        return self.quantity.said(value)


def with_prefix(value: float) -> str:
    """A number of an axis, short.

    >>> [with_prefix(value) for value in (0.25, 800, 25_000, 2_500_000)]
    ['0.25', '800', '25k', '2.5M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def axis(name: str, objectives: Sequence[Objective], table: Mapping[str, Quantity]) -> Axis:
    """The axis of a name, in the direction that is declared, or else usual."""
    declared = {objective.name: objective for objective in objectives}
    quantity = meant(name, table)
    known = declared.get(name) or OBJECTIVES.get(name)
    direction = known.direction if isinstance(known, Objective) else quantity.direction
    return Axis(quantity, direction == "maximize")


@dataclass(frozen=True)
class Axes:
    """What the plots of some runs show.

    quality: good against what it costs.  colours: what else a trade-off is coloured by.
    """

    objectives: tuple[Axis, ...]
    quality: Axis
    costs: tuple[Axis, ...]
    colours: tuple[Axis, ...]

    @classmethod
    def of(cls, runs: Sequence[Evaluations], table: Mapping[str, Quantity]) -> "Axes":
        declared = runs[0].judge.objectives
        names = [objective.name for objective in declared]
        measured = {name for run in runs for name in run.measured}
        quality = QUALITY if QUALITY in measured else names[0]
        costs = [name for name in COSTS if name in measured and name != quality]
        costs = costs or [name for name in names if name != quality]
        shown = {quality, *costs[:1]}
        third = [*names, *costs[1:], "latency_seconds"]
        colours = [n for n in dict.fromkeys(third) if n not in shown and n in {*names, *measured}]
        return cls(
            tuple(axis(name, declared, table) for name in names),
            axis(quality, declared, table),
            tuple(axis(name, declared, table) for name in costs),
            tuple(axis(name, declared, table) for name in colours),
        )
