"""The objectives that are a name of the measurement as it is."""

from collections.abc import Iterable
from functools import partial

from toolbox.objectives.objective import Measurement, Objective
from toolbox.quantities import QUANTITIES, Direction, Quantity


def measured(measurement: Measurement, name: str) -> float:
    """The measurement's number of this name.

    >>> measured({"ones": 3.0}, name="ones")
    3.0
    """
    return measurement[name]


def as_measured(name: str, direction: Direction, worst: float) -> Objective:
    """An objective that reads one name of the measurement."""
    return Objective(name, partial(measured, name=name), direction, worst, needs=(name,))


def objectives_of(quantities: Iterable[Quantity]) -> dict[str, Objective]:
    """The quantities that are objectives by themselves: they have a direction and a worst value."""
    return {
        known.name: as_measured(known.name, known.direction, known.worst)
        for known in quantities
        if known.direction is not None and known.worst is not None
    }


MEASURED = objectives_of(QUANTITIES.values())
