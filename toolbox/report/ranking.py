"""The best of an archive: the Pareto front, and the ranking by one objective.

Where networks were trained again in finals, their means count; where a learned guide knew them,
its estimates do.
"""

from collections.abc import Iterable, Sequence

import moocore

from toolbox.archive import Record
from toolbox.finals import estimated_losses
from toolbox.judge import Judge
from toolbox.objectives.objective import Objective


def front(judge: Judge, records: Iterable[Record]) -> list[Record]:
    """The records that no other one dominates, the best by the first objective first.

    After finals without a guide it is the front of those that were in them: that of single
    trainings is made of the lucky ones.
    """
    sound = comparable(judge, [record for record in records if judge.feasible(record)])
    if not sound:
        return []
    keep = moocore.is_nondominated(estimated_losses(judge, sound), keep_weakly=True)
    chosen = [record for record, kept in zip(sound, keep, strict=True) if kept]
    return _sorted(judge, chosen, 0)


def ranking(
    judge: Judge, records: Iterable[Record], objective: Objective | None = None
) -> list[Record]:
    """All feasible records, the best by `objective` (default: the first) first.

    With one objective those that were in finals come before all others.
    """
    place = 0 if objective is None else list(judge.objectives).index(objective)
    ranked = _sorted(judge, [record for record in records if judge.feasible(record)], place)
    if len(judge.objectives) == 1:
        ranked.sort(key=lambda record: not record.further)
    return ranked


def comparable(judge: Judge, records: Sequence[Record]) -> list[Record]:
    """Those of the records that were in finals; all of them if none was, or with several
    objectives if a guide's estimates tell the lucky ones."""
    estimated = len(judge.objectives) > 1 and any(record.belief for record in records)
    held = [] if estimated else [record for record in records if record.further]
    return held or list(records)


def _sorted(judge: Judge, records: list[Record], place: int) -> list[Record]:
    # Equals in the order of their architecture, whatever order they were measured in.
    losses = estimated_losses(judge, records)[:, place]
    pairs = sorted(zip(losses, records, strict=True), key=lambda p: (p[0], p[1].architecture))
    return [record for _, record in pairs]
