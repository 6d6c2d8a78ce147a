"""How long an evaluation takes: by trials of some networks, or by what an archive measured."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean
from typing import Any

import numpy

from toolbox.archive import Archive, Record
from toolbox.backends.backend import Map
from toolbox.backends.child import most_resident_bytes
from toolbox.measure import Job, Measure
from toolbox.problem import Genomes, Measurement, Problem, adapted

TOLD = "trial: "  # before each name that is told of a trial
FEWEST_MEASURED = 3  # networks of an archive whose pace is taken
MOST_FITTED = 200  # of them: to tell the cost of a network may mean to build it


@dataclass(frozen=True)
class Timed:
    """A problem whose measurement tells too what it took, and the memory of its process.

    whole: its evaluations are whole ones, so that the time of each is taken here; `first` is 1 of
    the first one in a process, which may have set up what the others find.  What is told of a trial
    is marked, so that it cannot be taken for what was measured.
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
        begun, first = time.perf_counter(), 1.0
        for number, result in results:
            if not isinstance(result, Exception):
                told = {} if self.whole else dict(result)
                if self.whole:
                    spent = (time.perf_counter() - begun) * self.at_once
                    told = dict.fromkeys(("expected_seconds", "least_seconds"), spent)
                    told |= {"trial_seconds": spent, "first": first}
                told["resident_bytes"] = float(most_resident_bytes())
                marked = {TOLD + name: value for name, value in told.items()}
                result = {**result, **marked} if self.whole else marked
            yield number, result
            begun, first = time.perf_counter(), 0.0

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

    genomes; told: of each, see `Problem.with_trials`; measured: by each, if it was evaluated whole.
    start_seconds: until the first one was begun in a process that was started for it.  failure:
    what the last one said that failed.
    """

    genomes: list[list[int]]
    told: list[dict[str, float]]
    measured: list[dict[str, float]] = field(default_factory=list)
    start_seconds: float = 0.0
    failure: str = ""

    def most(self, name: str) -> float:
        """The largest value of a name; 0 if nobody tells it."""
        return max((one.get(name, 0.0) for one in self.told), default=0.0)

    def mean(self, name: str) -> float:
        """The mean of a name; 0 if nobody tells it."""
        return fmean(one.get(name, 0.0) for one in self.told) if self.told else 0.0


def tries(backend: Map, problem: Timed, genomes: Sequence[list[int]], seconds: float) -> Tried:
    """Genomes that are tried, until so many seconds have passed since the first one was."""
    began, until = time.monotonic(), math.inf
    jobs = (
        Job(number, genome) for number, genome in enumerate(genomes) if time.monotonic() < until
    )
    found = Tried([], [])
    for outcome in backend(Measure(adapted(problem)), jobs):
        until = min(until, time.monotonic() + seconds)
        if outcome.status != "ok":
            found = replace(found, failure=outcome.message)
            continue
        both = outcome.measurement.items()
        told = {name.removeprefix(TOLD): value for name, value in both if name.startswith(TOLD)}
        if not found.genomes:
            started = time.monotonic() - began - told["trial_seconds"]
            found = replace(found, start_seconds=max(0.0, started))
        found.genomes.append(genomes[outcome.number])
        found.told.append(told)
        found.measured.append({n: v for n, v in both if not n.startswith(TOLD)})
    return found


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
    best = _least_squares(columns / took[:, None])
    factor = took.mean() / (columns @ best).mean()
    return float(best[0] * factor), float(best[1] * factor / scale)


def _least_squares(columns: numpy.ndarray) -> numpy.ndarray:
    """The two numbers, none of them negative, whose sum of the two columns (n, 2) is nearest to 1.

    What `scipy.optimize.nnls` says, whose import takes .3 s: as long as the rest of a search's
    start-up.  Where the free optimum has a negative number, one of the two is 0 in the best.
    """
    free = numpy.linalg.lstsq(columns, numpy.ones(len(columns)), rcond=None)[0]
    if (free >= 0).all():
        return numpy.asarray(free)
    # Rows: the one column alone, the other one alone.
    alone = numpy.diag(columns.sum(0).clip(0) / numpy.square(columns).sum(0))
    return min(alone, key=lambda one: numpy.square(columns @ one - 1).sum())


def pace_of_trials(problem: Problem, tried: Tried) -> Pace:
    """The pace by networks that were tried; at least one.

    Those that were the first of their process count if there are no others.
    """
    later = [place for place, one in enumerate(tried.told) if not one.get("first")]
    if later:
        tried = Tried([tried.genomes[at] for at in later], [tried.told[at] for at in later])
    expected, epochs = [one["expected_seconds"] for one in tried.told], problem.epochs
    source = f"trials of {len(expected)} network{'s' * (len(expected) != 1)}"
    behind = float(epochs) if epochs else None
    if epochs and (seen := [one["epochs"] for one in tried.told if "epochs" in one]):
        behind = fmean(seen)
        less = [(epochs - behind) * one["epoch_seconds"] for one in tried.told]
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
