"""What each generation of a run evaluated: how good, how different, and who was a parent how often.

From the births of the archive, so a continued search tells it whole.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from toolbox.report.evaluations import Evaluations

MOST_PARENTS = 20  # of the table of those that were parents most often


@dataclass(frozen=True)
class Generation:
    """The individuals that one generation evaluated.

    distinct: different networks among them.  new: those that no earlier generation had.  known: how
    many individuals have a fitness.  best, mean, worst: of each objective over these, NaN if
    there are none.
    """

    generation: int
    individuals: int
    distinct: int
    new: int
    known: int
    best: tuple[float, ...]
    mean: tuple[float, ...]
    worst: tuple[float, ...]


def course(run: Evaluations) -> list[Generation]:
    """Every generation of a run, the first population first; none before one is finished."""
    keys: dict[int, list[str]] = {}
    for birth in run.births:
        keys.setdefault(birth.generation, []).append(birth.key)
    weights = numpy.array([objective.weight for objective in run.judge.objectives])
    seen: set[str] = set()
    found = []
    for generation, born in sorted(keys.items()):
        places = [place for key in born if (place := run.by_key.get(key)) is not None]
        losses = run.losses[places].reshape(-1, len(weights))
        losses = losses[numpy.isfinite(losses).all(axis=1)]
        nothing = numpy.full(len(weights), numpy.nan)
        low, middle, high = (
            (losses.min(axis=0), losses.mean(axis=0), losses.max(axis=0))
            if len(losses)
            else (nothing, nothing, nothing)
        )
        best, mean, worst = (tuple((-row * weights).tolist()) for row in (low, middle, high))
        different = set(born)
        found.append(
            Generation(
                generation,
                individuals=len(born),
                distinct=len(different),
                new=len(different - seen),
                known=len(losses),
                best=best,
                mean=mean,
                worst=worst,
            )
        )
        seen |= different
    return found


def generation_table(
    runs: Sequence[Evaluations], courses: Sequence[Sequence[Generation]]
) -> list[dict[str, Any]]:
    """A row for each generation of each run."""
    rows = []
    for run, generations in zip(runs, courses, strict=True):
        names = [objective.name for objective in run.judge.objectives]
        for one in generations:
            row: dict[str, Any] = {"run": run.name} if len(runs) > 1 else {}
            row |= {"generation": one.generation, "individuals": one.individuals}
            row |= {"different networks": one.distinct, "new networks": one.new}
            for column, name in enumerate(names):
                for kind in ("best", "mean", "worst"):
                    row[f"{kind} {name}"] = getattr(one, kind)[column]
            rows.append(row)
    return rows


def parent_table(runs: Sequence[Evaluations]) -> list[dict[str, Any]]:
    """The networks that were a parent most often, the most frequent first."""
    rows = []
    for run in runs:
        names = [objective.name for objective in run.judge.objectives]
        children: Counter[str] = Counter()
        survivors: Counter[str] = Counter()
        first: dict[str, int] = {}
        for birth in run.births:
            first.setdefault(birth.key, birth.generation)
            for key in {run.births[parent].key for parent in birth.parents}:
                children[key] += 1
                survivors[key] += birth.survived
        for key, count in children.most_common(MOST_PARENTS):
            place = run.by_key.get(key)
            if place is None:
                continue
            row: dict[str, Any] = {"run": run.name} if len(runs) > 1 else {}
            row |= {"children": count, "of them survived": survivors[key]}
            row |= {"first seen in generation": first[key]}
            row |= dict(zip(names, run.fitness[place].tolist(), strict=True))
            rows.append(row | {"architecture": run.records[place].architecture, "key": key})
    rows.sort(key=lambda row: -row["children"])
    return rows[:MOST_PARENTS]
