"""From a record to a fitness: what is good, and what is within the bounds.

A judge knows no problem and evaluates nothing, so a search and the reading of a finished run share
it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy

from toolbox.archive import Record
from toolbox.bounds import Bounds
from toolbox.measure import one_line
from toolbox.objectives.objective import Objective
from toolbox.operator_error import OperatorError


@dataclass(frozen=True)
class Judge:
    """The objectives of a search and its bounds."""

    objectives: Sequence[Objective]
    bounds: Bounds = field(default_factory=Bounds)

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """DEAP's, one for each objective: +1 maximize, -1 minimize."""
        return tuple(objective.weight for objective in self.objectives)

    @cached_property
    def _needed(self) -> set[str]:
        return {name for objective in self.objectives for name in objective.needs}

    @cached_property
    def asked(self) -> frozenset[str]:
        """The names of a measurement that the objectives and the bounds rest on."""
        return frozenset(self._needed).union(self.bounds.measured.limits)

    def fitness(self, record: Record) -> tuple[float, ...]:
        """The objectives of a record, all of them finite.

        The worst of each if it failed or broke a rule; worse than that, by how far it is beyond
        the bounds, if it is beyond them.
        """
        if self.feasible(record):
            return tuple([self.value(objective, record) for objective in self.objectives])
        beyond = self.bounds.violation(record.measurement)
        return tuple(objective.infeasible(beyond) for objective in self.objectives)

    def value(self, objective: Objective, record: Record) -> float:
        """One objective of a record that was measured.

        Raises OperatorError if the objective reads a name that was not.
        """
        return value_of(objective, record.measurement)

    def feasible(self, record: Record) -> bool:
        """Whether a record has all that the objectives need, and is within the bounds."""
        if record.failed or not self.complete(record):
            return False
        return not (self.bounds.limits and self.bounds.violation(record.measurement))

    def complete(self, record: Record) -> bool:
        """Whether a record has all that the objectives need, within the bounds or not."""
        if record.status == "ok":
            return True
        needed = self._needed
        return bool(needed) and needed <= set(record.measurement)

    def counted_as_worst(self, record: Record) -> list[tuple[Objective, float]]:
        """The objectives that count as their worst for a record that was measured, and what they
        say of it."""
        if record.status != "ok":
            return []
        said = [(one, one.viewed(record.measurement)) for one in self.objectives]
        return [(one, value) for one, value in said if one.is_worst(value)]

    def losses(self, records: Sequence[Record]) -> numpy.ndarray:
        """The fitness of records (records, objectives), negated where it is maximized."""
        fitness = numpy.array([self.fitness(record) for record in records])
        losses: numpy.ndarray = -fitness.reshape(-1, len(self.weights)) * numpy.array(self.weights)
        return losses


def value_of(objective: Objective, measurement: Mapping[str, float]) -> float:
    """An objective of a measurement.

    Raises OperatorError, one line with what was measured, if the objective cannot be computed.
    """
    try:
        return objective.value(measurement)
    except Exception as error:  # whatever a user's function does
        raise OperatorError(
            f"objectives: {objective.name!r} failed on a measurement ({one_line(error)}); "
            f"measured are {', '.join(measurement)}"
        ) from error
