"""An objective: a view of a measurement, with a direction and a finite worst."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from toolbox.quantities import Direction

Measurement = Mapping[str, float]


@dataclass(frozen=True)
class Objective:
    """`view(measurement) -> float`, and what is good.

    worst: the value of a network that failed, and a bound: a view beyond it, or one that is not
    finite, counts as it, so that no failure ranks before a success.  needs: the names that the
    view reads of a measurement.
    """

    name: str
    view: Callable[[Measurement], float]
    direction: Direction
    worst: float
    needs: tuple[str, ...] = ()

    def infeasible(self, violation: float) -> float:
        """The fitness of a network that violates the bounds, finite however much it does.

        It lies beyond the worst, the more so the larger the violation, so that every feasible
        network is better (feasibility first; Deb, 2000).
        """
        share = 1 - 1 / (1 + violation)  # an infinite violation has the whole share
        return self.worst - self.weight * share * max(1.0, abs(self.worst))

    @cached_property
    def weight(self) -> float:
        """DEAP's: +1 maximize, -1 minimize."""
        return 1.0 if self.direction == "maximize" else -1.0

    def viewed(self, measurement: Measurement) -> float:
        """What the view says of a measurement, which it cannot change."""
        return float(self.view(MappingProxyType(measurement)))

    def value(self, measurement: Measurement) -> float:
        """The finite number that DEAP sees."""
        value = self.viewed(measurement)
        return self.worst if self.is_worst(value) else value

    def is_worst(self, value: float) -> bool:
        """Whether what the view said counts as the worst, because it is not finite or beyond it."""
        return not math.isfinite(value) or (value - self.worst) * self.weight < 0
