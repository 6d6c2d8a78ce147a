"""How long an evaluation takes: by trials of some networks, or by what an archive measured."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean
from typing import Any

import numpy
from scipy.optimize import nnls

from toolbox.archive import Archive, Record
from toolbox.backends.backend import Map
from toolbox.backends.child import most_resident_bytes
from toolbox.measure import Job, Measure
from toolbox.problem import Genomes, Measurement, Problem, adapted

FEWEST_MEASURED = 3  # networks of an archive whose pace is taken
MOST_FITTED = 200  # of them: to tell the cost of a network may mean to build it


@dataclass(frozen=True)
class Timed:
    """A problem whose measurement tells too what it took, and the memory of its process.

    whole: its evaluations are whole ones, so that the time of each is taken here.
    """

    problem: Problem
    whole: bool

    @property
    def space(self) -> Any:
        return self.problem.space

    @property
    def at_once(self) -> int:
        return self.problem.at_once

    def on_worker(self, rank: int) -> "Timed":
        return Timed(self.problem.on_worker(rank), self.whole)

    def evaluate_many(self, genomes: Genomes) -> Iterator[tuple[int, Measurement | Exception]]:
        """As the problem's own; by its `evaluate` if it has none."""
        if self.problem.evaluate_many is not None:
            results = self.problem.evaluate_many(genomes)
        else:
            results = self._one_by_one(genomes)
        begun = time.perf_counter()
        for number, result in results:
            ended = time.perf_counter()
            if not isinstance(result, Exception):
                spent = (ended - begun) * self.at_once
                names = ("expected_seconds", "least_seconds", "trial_seconds")
                result = {
                    **(dict.fromkeys(names, spent) if self.whole else {}),
                    **result,
                    "resident_bytes": float(most_resident_bytes()),
                }
            yield number, result
            begun = time.perf_counter()

    def _one_by_one(self, genomes: Genomes) -> Iterator[tuple[int, Measurement | Exception]]:
        jobs = (job for job in genomes if isinstance(job, list))  # none of them has options
        for number, genome in enumerate(jobs):
            try:
                yield number, self.problem.evaluate(genome)
            except Exception as error:
                yield number, error


def timed(problem: Problem, seconds: float) -> Timed:
    """Trials of about so many seconds each, or whole evaluations where there are none."""
    tried = problem.with_trials(seconds)
    return Timed(problem if tried is None else tried, whole=tried is None)


@dataclass(frozen=True)
class Tried:
    """Networks that were tried.

    genomes, measurements: of each, see `Problem.with_trials`.  start_seconds: until the first one
    was begun in a process that was started for it.  failure: what the last one said that failed.
    """

    genomes: list[list[int]]
    measurements: list[dict[str, float]]
    start_seconds: float = 0.0
    failure: str = ""

    def most(self, name: str) -> float:
        """The largest value of a name; 0 if nobody tells it."""
        return max((one.get(name, 0.0) for one in self.measurements), default=0.0)

    def mean(self, name: str) -> float:
        """The mean of a name; 0 if nobody tells it."""
        return fmean(one.get(name, 0.0) for one in self.measurements) if self.measurements else 0.0


def tries(backend: Map, problem: Timed, genomes: Sequence[list[int]], seconds: float) -> Tried:
    """Genomes that are tried, until so many seconds have passed since the first one was."""
    began, until = time.monotonic(), math.inf
    jobs = (
        Job(number, genome) for number, genome in enumerate(genomes) if time.monotonic() < until
    )
    tried, started, failure = list[list[int]](), 0.0, ""
    measurements = list[dict[str, float]]()
    for outcome in backend(Measure(adapted(problem)), jobs):
        until = min(until, time.monotonic() + seconds)
        if outcome.status != "ok":
            failure = outcome.message
            continue
        if not tried:
            started = time.monotonic() - began - outcome.measurement["trial_seconds"]
        tried.append(genomes[outcome.number])
        measurements.append(outcome.measurement)
    return Tried(tried, measurements, max(0.0, started), failure)


@dataclass(frozen=True)
class Pace:
    """Seconds of an evaluation: fixed + slope x the problem's `cost`; elapsed, on one worker.

    epochs: that it has, None for a problem without.  epoch_share: of each of them in the whole.
    least_share: of an evaluation that ends as early as it can.  source: what it rests on.
    """

    fixed: float
    slope: float
    cost: Callable[[list[int]], float]
    epochs: float | None
    epoch_share: float
    least_share: float
    source: str

    def seconds(self, genome: list[int], epochs: float | None = None) -> float:
        """Of an evaluation; epochs: trained in it, None for all of them."""
        whole = self.fixed + self.slope * (self.cost(genome) if self.slope else 0.0)
        if epochs is None or self.epochs is None:
            return whole
        return whole * max(0.0, 1 - max(0.0, self.epochs - epochs) * self.epoch_share)


def _fitted(costs: Sequence[float], seconds: Sequence[float]) -> tuple[float, float]:
    """The two numbers of seconds = fixed + slope x cost with the least relative errors, none of
    them negative; so fitted that the mean is right."""
    took = numpy.maximum(seconds, 1e-9)
    scale = max(costs)
    if scale <= 0 or len(set(costs)) < 2:
        return float(took.mean()), 0.0
    columns = numpy.column_stack([numpy.ones(len(costs)), numpy.array(costs) / scale])
    (fixed, slope), _ = nnls(columns / took[:, None], numpy.ones(len(took)))
    factor = took.mean() / (columns @ (fixed, slope)).mean()
    return float(fixed * factor), float(slope * factor / scale)


def pace_of_trials(problem: Problem, tried: Tried) -> Pace:
    """The pace by networks that were tried; at least one."""
    expected, epochs = [one["expected_seconds"] for one in tried.measurements], problem.epochs
    source = f"trials of {len(expected)} network{'s' * (len(expected) != 1)}"
    behind = float(epochs) if epochs else None
    if epochs and (seen := [one["epochs"] for one in tried.measurements if "epochs" in one]):
        behind = fmean(seen)
        less = [(epochs - behind) * one["epoch_seconds"] for one in tried.measurements]
        expected = [whole - part for whole, part in zip(expected, less, strict=True)]
        source += f", {len(seen)} of which were seen to stop after {behind:.1f} epochs"
    fixed, slope = _fitted([problem.cost(genome) for genome in tried.genomes], expected)
    whole = max(fmean(expected), 1e-12)
    return Pace(
        fixed,
        slope,
        problem.cost,
        behind,
        tried.mean("epoch_seconds") / whole,
        min(1.0, tried.mean("least_seconds") / whole),
        source,
    )


def pace_of_archive(problem: Problem, archive: Archive, slots: int) -> Pace | None:
    """The pace by what an archive's searches measured; None if they finished no generation.

    slots: how many evaluations they had in hand at once.  How the times of the networks differ is
    told by train_seconds, if they were measured, and else by the cost; how long a search takes,
    with all that it does besides, by the time of its generations.
    """
    ended = archive.noted("generation_seconds", [])
    keys: dict[str, None] = {}
    for birth in archive.births:
        if birth.generation < len(ended):
            keys.setdefault(birth.key)
    known = [record for key in keys if (record := archive.get(key))]
    trained = [record for record in known if record.status != "infeasible"]
    whole = [r for r in trained if r.status == "ok" and archive.is_whole(r)]
    if len(whole) < FEWEST_MEASURED or not ended[-1:] or ended[-1] <= 0:
        return None
    step = -(-len(whole) // MOST_FITTED)
    some = whole[::step]
    costs = [problem.cost(record.genome) for record in some]
    took = [record.measurement.get("train_seconds", 0.0) for record in some]
    if min(took) <= 0:
        took = [max(cost, 1e-9) for cost in costs] if min(costs) > 0 else [1.0] * len(some)
    fixed, slope = _fitted(costs, took)
    epochs = fmean(record.measurement.get("epochs", 0.0) for record in whole)
    pace = Pace(
        fixed,
        slope,
        problem.cost,
        epochs if problem.epochs else None,
        1 / epochs if epochs else 0.0,
        1.0,
        f"{len(whole)} networks of the archive",
    )
    spent = len(trained) * fmean(_spent(pace, record) for record in trained[::step])
    factor = ended[-1] * slots / spent
    return replace(pace, fixed=fixed * factor, slope=slope * factor)


def _spent(pace: Pace, record: Record) -> float:
    """What the evaluations of a record took by a pace."""
    return pace.seconds(record.genome, record.measurement.get("epochs") if pace.epochs else None)
