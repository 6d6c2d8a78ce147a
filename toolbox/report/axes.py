"""What is plotted: a quantity along an axis or as a colour, in a direction."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy
from matplotlib.ticker import FuncFormatter

from toolbox.objectives import OBJECTIVES
from toolbox.objectives.objective import Objective
from toolbox.quantities import Quantity, meant
from toolbox.report.evaluations import Evaluations

COSTS = ("params", "macs", "train_seconds", "latency_seconds")
MOST_COSTS = 3  # that a single objective is held against


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
    def extreme(self) -> str:
        """What its best value is called: highest, lowest or fewest."""
        if self.maximize:
            return "highest"
        return self.quantity.extreme("minimize")

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
class Pair:
    """Two quantities of one plot, y against x.  name: of the plot's files."""

    name: str
    y: Axis
    x: Axis

    @classmethod
    def of(cls, first: Axis, second: Axis, name: str) -> "Pair":
        """What is maximized stands upright, if the other one is not."""
        upright = first.maximize or not second.maximize
        return cls(name, first, second) if upright else cls(name, second, first)


@dataclass(frozen=True)
class Axes:
    """What the plots of some runs show.

    pairs: of the objectives that were searched, those of the first objective first; of a single
    one, it and what the networks cost.  colours: what else the first pair is coloured by.
    """

    objectives: tuple[Axis, ...]
    pairs: tuple[Pair, ...]
    colours: tuple[Axis, ...]

    @classmethod
    def of(cls, runs: Sequence[Evaluations], table: Mapping[str, Quantity]) -> "Axes":
        declared = runs[0].judge.objectives
        names = [objective.name for objective in declared]
        measured = {name: None for run in runs for name in run.measured}
        axes = {name: axis(name, declared, table) for name in [*names, *measured]}
        held = names
        if len(names) == 1:
            others = [name for name in measured if name not in names]
            costs = [name for name in COSTS if name in others]
            costs = costs or [name for name in others if meant(name, table).direction]
            held = [*names, *costs[:MOST_COSTS]]
        together = [
            (one, other)
            for one, other in combinations(held, 2)
            if len(names) > 1 or one == names[0]
        ]
        pairs = tuple(
            Pair.of(
                axes[one],
                axes[other],
                f"front_{other}" if one == names[0] else f"front_{one}_{other}",
            )
            for one, other in together
        )
        shown = set(together[0]) if together else set()
        third = dict.fromkeys([*names, *(name for name in COSTS if name in measured)])
        colours = [name for name in third if name not in shown]
        return cls(
            tuple(axes[name] for name in names), pairs, tuple(axes[name] for name in colours)
        )
