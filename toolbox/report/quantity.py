"""What is plotted: a name of a measurement or an objective, with its label and direction."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy
from matplotlib.ticker import FuncFormatter

from toolbox.objectives import OBJECTIVES
from toolbox.objectives.objective import Objective
from toolbox.report.evaluations import Evaluations

LABELS = {
    "val_accuracy": "validation accuracy",
    "train_accuracy": "training accuracy",
    "val_loss": "validation loss",
    "params": "parameters",
    "conv_params": "parameters of convolutions",
    "fc_params": "parameters of fully connected layers",
    "macs": "multiply-accumulates per image",
    "layers": "layers with weights",
    "memory_bytes": "memory of an inference (bytes)",
    "peak_memory_bytes": "peak memory of training (bytes)",
    "epochs": "epochs",
    "train_seconds": "training time (s)",
    "latency_seconds": "latency of one image (ms)",
    "scoring_seconds": "time of one score (s)",
    "accuracy_per_log_params": "accuracy (%) / ln(parameters)",
    "accuracy_per_log_params_per_second": "accuracy (%) / ln(parameters) / s",
    "penalized_accuracy": "accuracy less penalty for size",
}
SHARES = ("val_accuracy", "train_accuracy")  # shown in percent
SCALES = {"latency_seconds": 1e3}  # from a measurement's unit to the label's
COSTS = ("params", "macs", "train_seconds")
QUALITY = "val_accuracy"


@dataclass(frozen=True)
class Quantity:
    """One axis or colour."""

    name: str
    label: str
    maximize: bool

    @property
    def formatter(self) -> FuncFormatter:
        """Of its numbers on an axis."""
        if self.name in SHARES:
            return FuncFormatter(lambda value, _: f"{100 * value:.4g} %")
        return FuncFormatter(lambda value, _: with_prefix(value * SCALES.get(self.name, 1)))

    def values(self, run: Evaluations) -> numpy.ndarray:
        """(networks,), NaN where it is not known."""
        return run.column(self.name)

    def losses(self, run: Evaluations) -> numpy.ndarray:
        return -self.values(run) if self.maximize else self.values(run)

    def said(self, value: float) -> str:
        """A value for a person."""
        if self.name in SHARES:
            return f"{100 * value:.2f} %"
        value *= SCALES.get(self.name, 1)
        return f"{value:,.0f}" if float(value).is_integer() else f"{value:.4g}"


def with_prefix(value: float) -> str:
    """A number of an axis, short.

    >>> [with_prefix(value) for value in (0.25, 800, 25_000, 2_500_000)]
    ['0.25', '800', '25k', '2.5M']
    """
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.4g}{letter}"
    return f"{value:.4g}"


def quantity(name: str, objectives: Iterable[Objective]) -> Quantity:
    """The quantity of a name, in the direction that is declared, or else usual."""
    declared = {objective.name: objective for objective in objectives}
    known = declared.get(name) or OBJECTIVES.get(name)
    direction = known.direction if isinstance(known, Objective) else "minimize"
    return Quantity(name, LABELS.get(name, name.replace("_", " ")), direction == "maximize")


@dataclass(frozen=True)
class Axes:
    """What the plots of some runs show.

    quality: good against what it costs.  colours: what else a trade-off is coloured by.
    """

    objectives: tuple[Quantity, ...]
    quality: Quantity
    costs: tuple[Quantity, ...]
    colours: tuple[Quantity, ...]

    @classmethod
    def of(cls, runs: list[Evaluations]) -> "Axes":
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
            tuple(quantity(name, declared) for name in names),
            quantity(quality, declared),
            tuple(quantity(name, declared) for name in costs),
            tuple(quantity(name, declared) for name in colours),
        )
