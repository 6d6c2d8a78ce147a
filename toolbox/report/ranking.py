"""The best of an archive: the Pareto front, and the ranking by one objective."""

from collections.abc import Iterable

import moocore

from toolbox.archive import Record
from toolbox.judge import Judge
from toolbox.objectives.objective import Objective


def front(judge: Judge, records: Iterable[Record]) -> list[Record]:
    """The records that no other one dominates, the best by the first objective first."""
    sound = [record for record in records if judge.feasible(record)]
    if not sound:
        return []
    keep = moocore.is_nondominated(judge.losses(sound), keep_weakly=True)
    chosen = [record for record, kept in zip(sound, keep, strict=True) if kept]
    return sorted(chosen, key=lambda record: _loss(judge.objectives[0], record))


def ranking(
    judge: Judge, records: Iterable[Record], objective: Objective | None = None
) -> list[Record]:
    """All feasible records, the best by `objective` (default: the first) first."""
    by = objective or judge.objectives[0]
    feasible = [record for record in records if judge.feasible(record)]
    return sorted(feasible, key=lambda record: _loss(by, record))


def _loss(objective: Objective, record: Record) -> tuple[float, str]:
    # Equals in the order of their architecture, whatever order they were measured in.
    return -objective.value(record.measurement) * objective.weight, record.architecture
