"""Searches of one budget side by side: what each had found after how many networks, and how sure
that is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import moocore
import numpy
from scipy.stats import wilcoxon

from toolbox.archive import Record
from toolbox.judge import Judge

GRID = 40  # points of a curve
FEWEST_PAIRS = 6  # with fewer, no difference however clear reaches p = 0.05


@dataclass(frozen=True)
class Course:
    """One search: its records in the order in which generation after generation knew them.

    counts: how many of them each generation had brought in all.  trained: how many individuals were
    trained now, and not served from the archive.  epochs: that were trained for them, by this
    search or by another one of the archive; 0 if the problem does not tell.  distinct: the share of
    different networks in the final population.
    """

    records: Sequence[Record]
    counts: Sequence[int]
    trained: int = 0
    epochs: float = 0.0
    distinct: float = 1.0


@dataclass(frozen=True)
class Difference:
    """What one variant reached against another, seed by seed.

    median: of the differences, positive where the first is better.  effect: the matched-pairs rank
    biserial correlation, from -1 to 1 (Kerby, 2014).  p: of Wilcoxon's signed-rank test, exact for
    so few pairs; None if there are fewer than six.
    """

    first: str
    second: str
    median: float
    effect: float
    p: float | None


def quality(judge: Judge, courses: Mapping[str, Course], budget: int) -> dict[str, list[float]]:
    """What each search had reached at GRID points of the budget; nan before the first feasible.

    One objective: the best value so far.  Several: the hypervolume, each objective scaled to
    [0, 1] by the best and the worst feasible value of all these searches together, as a share of
    what they all have found together.
    """
    points = grid(budget)
    objectives = judge.objectives
    if len(objectives) == 1:
        return {name: _best(judge, course, points) for name, course in courses.items()}
    losses = {name: judge.losses(course.records) for name, course in courses.items()}
    sound = {
        name: numpy.array([judge.feasible(record) for record in course.records], dtype=bool)
        for name, course in courses.items()
    }
    feasible = numpy.vstack([losses[name][sound[name]] for name in courses])
    if not len(feasible):
        return {name: [float("nan")] * len(points) for name in courses}
    low = feasible.min(axis=0)
    span = numpy.maximum(feasible.max(axis=0) - low, 1e-300)
    reference = numpy.full(len(objectives), 1.1)  # so that the ends of the front count too
    whole = _hypervolume((feasible - low) / span, reference)
    found = {}
    for name, course in courses.items():
        values = []
        for point in points:
            begun = _known(course, point)
            known = losses[name][:begun][sound[name][:begun]]
            share = _hypervolume((known - low) / span, reference) / whole if len(known) else 0.0
            values.append(share)
        found[name] = values
    return found


def grid(budget: int) -> list[int]:
    """The numbers of networks at which searches are compared, the budget the last.

    >>> grid(4)
    [1, 2, 3, 4]
    """
    return sorted({max(1, round(budget * (step + 1) / GRID)) for step in range(GRID)})


def _known(course: Course, point: int) -> int:
    """How many records a search had when its last whole generation within `point` ended."""
    return max((count for count in course.counts if count <= point), default=0)


def _best(judge: Judge, course: Course, points: Sequence[int]) -> list[float]:
    (objective,) = judge.objectives
    better = max if objective.direction == "maximize" else min
    values = []
    for point in points:
        known = course.records[: _known(course, point)]
        reached = [judge.fitness(record)[0] for record in known if judge.feasible(record)]
        values.append(better(reached) if reached else float("nan"))
    return values


def _hypervolume(losses: numpy.ndarray, reference: numpy.ndarray) -> float:
    return float(moocore.hypervolume(losses, ref=reference))


def differences(
    reached: Mapping[str, Sequence[float]], baseline: str, maximize: bool
) -> list[Difference]:
    """Every variant against the baseline, then against each other, paired by seed.

    reached: what each variant had reached in the end, a number for each seed.

    >>> better = {"a": [3, 5, 4, 6, 5, 7], "random": [1, 2, 3, 4, 2, 6]}
    >>> differences(better, "random", maximize=True)
    [Difference(first='a', second='random', median=2.0, effect=1.0, p=0.03125)]
    """
    names = [name for name in reached if name != baseline]
    pairs = [(name, baseline) for name in names]
    pairs += [(one, other) for i, one in enumerate(names) for other in names[i + 1 :]]
    return [_difference(one, other, reached, maximize) for one, other in pairs]


def _difference(
    first: str, second: str, reached: Mapping[str, Sequence[float]], maximize: bool
) -> Difference:
    better = numpy.array(reached[first]) - numpy.array(reached[second])
    better = better[numpy.isfinite(better)] * (1 if maximize else -1)
    if not len(better):
        return Difference(first, second, float("nan"), 0.0, None)
    ranks = numpy.abs(better).argsort().argsort() + 1.0
    for size in numpy.unique(numpy.abs(better)):  # equals share their mean rank
        ranks[numpy.abs(better) == size] = ranks[numpy.abs(better) == size].mean()
    moved = better != 0
    total = ranks[moved].sum()
    signed = (ranks[moved] * numpy.sign(better[moved])).sum()
    effect = float(signed / total) if total else 0.0
    p = None
    if moved.sum() >= FEWEST_PAIRS:
        p = float(wilcoxon(better[moved]).pvalue)
    return Difference(first, second, float(median(better.tolist())), effect, p)
