"""What crosses to a worker and back: a job out, an outcome in.  Plain data, no DEAP, no torch."""

import math
import numbers
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from toolbox.bounds import Bounds

Status = Literal["ok", "error", "timeout", "crash", "infeasible"]


class Problem(Protocol):
    """What a search needs of a problem; any object that has these will do."""

    space: Any

    def evaluate(self, genome: list[int]) -> dict[str, float]: ...


@dataclass(frozen=True)
class Job:
    """One genome to measure; `number` tells its outcome from the others."""

    number: int
    genome: list[int]


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    `measurement` is complete if `status` is "ok", has what was known when the network was refused
    if it is "infeasible", and is empty otherwise.
    """

    number: int
    status: Status
    measurement: dict[str, float] = field(default_factory=dict)
    message: str = ""


class Measure:
    """`measure(job)` evaluates a problem and answers with an outcome, whatever the problem does.

    A network that a problem's `preview` shows to be beyond the bounds is not trained.
    """

    def __init__(self, problem: Problem, bounds: Bounds | None = None):
        self.problem = problem
        self.bounds = bounds or Bounds()

    def __call__(self, job: Job) -> Outcome:
        try:
            for look in (self._preview, self.problem.evaluate):
                measurement = _checked(look(list(job.genome)))
                if reason := self.bounds.reason(measurement):
                    return Outcome(job.number, "infeasible", measurement, reason)
            return Outcome(job.number, "ok", measurement)
        except (Exception, SystemExit) as error:  # a network that fails is a result like any other
            return Outcome(job.number, "error", message=one_line(error))

    def _preview(self, genome: list[int]) -> dict[str, float]:
        """What is known before the training, if a bound asks for more than arithmetic tells."""
        if not self.bounds.limits or not hasattr(self.problem, "preview"):
            return {}
        known = self.problem.known(genome) if hasattr(self.problem, "known") else {}
        return {} if set(self.bounds.limits) <= set(known) else self.problem.preview(genome)


def _checked(measurement: Any) -> dict[str, float]:
    """The measurement as finite floats.  Raises ValueError for anything else."""
    if not isinstance(measurement, dict):
        raise ValueError(f"evaluate returned {type(measurement).__name__}, not a dict of numbers")
    for name, value in measurement.items():
        if not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise ValueError(f"evaluate returned {name} = {value!r}, not a finite number")
    return {
        str(name): int(value) if isinstance(value, numbers.Integral) else float(value)
        for name, value in measurement.items()
    }


def one_line(error: BaseException) -> str:
    """An exception's type and message on one line.

    >>> one_line(ValueError("a bad value"))
    'ValueError: a bad value'
    """
    return " ".join(f"{type(error).__name__}: {error}".split())
