"""What crosses to a worker and back: a job out, an outcome in.  Plain data, no DEAP, no torch."""

import itertools
import math
import os
import platform
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal

from toolbox import learning_curve
from toolbox.bounds import Bounds
from toolbox.problem import Measurement, adapted

NUMBERS = (int, float, Real)  # the usual ones first: an abstract class is slow to ask
Status = Literal["ok", "error", "timeout", "crash", "infeasible"]


@dataclass(frozen=True)
class Job:
    """One genome to measure; `number` tells its outcome from the others.

    options: what the problem's `evaluate` is given beside the genome, by name; plain data.  files:
    what it needs of the run folder, for a worker that does not see it (luggage.py).
    """

    number: int
    genome: list[int]
    options: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[bytes | None, ...] = field(default=(), repr=False)


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    `measurement` is complete if `status` is "ok", has what was known when the network was refused
    if it is "infeasible", and otherwise what the exception told in an attribute `measurement`, if
    it has one.  `attempts`: how often it was begun.  `worker`: who measured it, machine and number;
    empty for the search's own process.  `seconds`: from the beginning of the last attempt to its
    end, with what else was in flight beside it; 0 if that is not known.  `curve`: how its training
    went, as `learning_curve.kept` returns it.  files, left_behind: what it left for the run folder,
    and how many bytes of it were too many to come along (luggage.py).
    """

    number: int
    status: Status
    measurement: dict[str, float] = field(default_factory=dict)
    message: str = ""
    attempts: int = 1
    worker: str = field(default="", compare=False)
    seconds: float = field(default=0.0, compare=False)
    curve: str = ""
    files: tuple[bytes | None, ...] = field(default=(), compare=False, repr=False)
    left_behind: int = field(default=0, compare=False)


def worker_name(rank: int) -> str:
    """A worker of this machine, counted from 0, for a person and the same after each start."""
    return f"{platform.node()} {rank + 1}".strip()


@contextmanager
def same_directory() -> Iterator[None]:
    """Come back to the current directory, wherever a function of the user's goes meanwhile.

    Relative paths, of images or of the run folder, would lead elsewhere from then on.
    """
    here = ""
    with suppress(OSError):  # it may have been removed
        here = os.getcwd()
    try:
        yield
    finally:
        with suppress(OSError):
            if here and os.getcwd() != here:
                os.chdir(here)


class Measure:
    """`measure(job)` evaluates a problem and answers with an outcome, whatever the problem does.

    A network that a problem's `preview` shows to be beyond the bounds is not trained.
    """

    def __init__(self, problem: Any, bounds: Bounds | None = None, worker: str = ""):
        self.problem = adapted(problem)
        self.bounds = bounds or Bounds()
        self.worker = worker

    @property
    def at_once(self) -> int:
        """How many jobs one process should have in hand."""
        return self.problem.at_once

    def on_worker(self, rank: int) -> "Measure":
        """The same for a worker: the one of this rank on its machine may have a GPU of its own."""
        return Measure(self.problem.on_worker(rank), self.bounds, worker_name(rank))

    def __call__(self, job: Job) -> Outcome:
        (outcome,) = self.many([job])
        return outcome

    def many(self, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        """The outcome of each job as it becomes known, several at once if the problem can.

        A None among the jobs means that there is none right now.
        """
        with closing(self._many(jobs)) as outcomes:
            while True:
                with same_directory():
                    outcome = next(outcomes, None)
                if outcome is None:
                    return
                yield outcome

    def _many(self, jobs: Iterable[Job | None]) -> Generator[Outcome, None, None]:
        if self.problem.evaluate_many is None:
            for job in jobs:
                if job is not None:
                    begun = time.perf_counter()
                    evaluate = self.problem.evaluate
                    if job.options:
                        evaluate = partial(evaluate, **job.options)
                    yield self._refused(job) or self._outcome(job, evaluate, begun)
            return
        taken: dict[int, tuple[Job, float]] = {}
        refused: list[Outcome] = []

        numbers = itertools.count()

        def genomes() -> Iterator[list[int] | tuple[list[int], Mapping[str, Any]] | None]:
            for job in jobs:
                outcome = None if job is None else self._refused(job)
                if outcome:
                    refused.append(outcome)
                elif job is not None:
                    taken[next(numbers)] = job, time.perf_counter()
                if outcome or job is None:
                    yield None
                else:
                    yield (list(job.genome), job.options) if job.options else list(job.genome)

        try:
            for number, result in self.problem.evaluate_many(genomes()):
                job, begun = taken.pop(number)
                yield self._outcome(job, partial(_unless_raised, result), begun)
                yield from refused
                refused.clear()
        except Exception as error:
            message = one_line(error)
            yield from (Outcome(job.number, "error", message=message) for job, _ in taken.values())
        yield from refused

    def _refused(self, job: Job) -> Outcome | None:
        """The outcome of a job that is not to be evaluated."""
        if not self.bounds.limits:
            return None
        outcome = self._outcome(job, self._preview)
        return None if outcome.status == "ok" else outcome

    def _outcome(
        self, job: Job, look: Callable[[list[int]], Measurement], begun: float | None = None
    ) -> Outcome:
        """begun: when its measurement was, by the process's clock; None for a look beforehand."""
        status: Status = "ok"
        curve = message = ""
        try:
            measurement, curve = _checked(look(list(job.genome)))
        except (Exception, SystemExit) as error:  # a network that fails is a result like any other
            (measurement, curve), status, message = _told(error), "error", one_line(error)
        else:
            if reason := self.bounds.reason(measurement):
                status, message = "infeasible", reason
        seconds = time.perf_counter() - begun if begun is not None else 0.0
        return Outcome(
            *(job.number, status, measurement, message),
            worker=self.worker,
            seconds=seconds,
            curve=curve,
        )

    def _preview(self, genome: list[int]) -> Measurement:
        """What is known before the training, if a bound asks for more than arithmetic tells."""
        known = self.problem.known(genome)
        return {} if set(self.bounds.limits) <= set(known) else self.problem.preview(genome)


def _unless_raised(result: Measurement | Exception, genome: list[int]) -> Measurement:
    if isinstance(result, Exception):
        raise result
    return result


def _checked(measurement: Any) -> tuple[dict[str, float], str]:
    """The measurement as finite floats, and its learning curves.  Raises ValueError for anything
    else."""
    if not isinstance(measurement, dict):
        raise ValueError(f"evaluate returned {type(measurement).__name__}, not a dict of numbers")
    curve = ""
    if learning_curve.NAME in measurement:
        measurement = dict(measurement)
        curve = learning_curve.kept(measurement.pop(learning_curve.NAME))
    found: dict[str, float] = {}
    for name, value in measurement.items():
        if getattr(value, "shape", None) == ():  # a tensor or an array of one number
            value = value.item()
        if not isinstance(value, NUMBERS) or not math.isfinite(value):
            raise ValueError(f"evaluate returned {name} = {value!r}, not a finite number")
        found[str(name)] = _plain(value)
    return found, curve


def _told(error: BaseException) -> tuple[dict[str, float], str]:
    """The measurement that an exception brings, such as the epochs that it took."""
    try:
        return _checked(getattr(error, "measurement", {}))
    except ValueError:
        return {}, ""


def _plain(value: Any) -> float:
    if type(value) in (int, float):  # an abstract class is slow to ask
        return value  # type: ignore[no-any-return]
    return int(value) if isinstance(value, Integral) else float(value)


def one_line(error: BaseException) -> str:
    """An exception's type and message on one line.

    >>> one_line(ValueError("a bad value"))
    'ValueError: a bad value'
    """
    return " ".join(f"{type(error).__name__}: {error}".split())
