"""One network of an archive, by a rule that a person wrote."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy

from toolbox.archive import Record
from toolbox.finals import estimated_losses
from toolbox.judge import Judge
from toolbox.quantities import as_number
from toolbox.report.ranking import comparable, front, ranking
from toolbox.shelf import did_you_mean

LEGAL = "best, knee, a key of the archive, or bounds like params<=10000,val_accuracy>=0.8"
KEY = re.compile(r"[0-9a-f]{1,32}")
BOUND = re.compile(r"(\w+)\s*(<=|>=|<|>)\s*(.+)")
COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Bound:
    """`name` of a network, a number of its measurement or an objective, against a limit."""

    name: str
    comparison: str
    limit: float

    def holds(self, value: float) -> bool:
        return COMPARISONS[self.comparison](value, self.limit)


def default_rule(judge: Judge) -> str:
    """What is picked if nobody says: the best by one objective, the knee of several."""
    return "best" if len(judge.objectives) == 1 else "knee"


def pick(judge: Judge, networks: Sequence[Record], rule: str) -> Record:
    """The one network of an archive's `networks()` that a rule names.

    best: by the first objective.  knee: of the front, see `knee`.  A bound such as params<=10000
    on anything measured or any objective: the best within it.  Several, separated by commas, hold
    together; "knee,params<=10000" is the knee of what is within.  The beginning of a key of the
    archive, if only one key begins so: that network.  After finals best and knee are by the means,
    of those within the bounds that were in them, if there are any.  Raises ValueError, one line,
    for a rule that says nothing or matches nothing.
    """
    parts = [part.strip() for part in rule.split(",")]
    if len(parts) == 1 and KEY.fullmatch(parts[0]):
        return _by_key(networks, parts[0])
    among = ranking(judge, networks)
    if not among:
        raise ValueError("no network in the archive is feasible, so there is none to pick")
    bounds = [bound for part in parts if (bound := _bound(part, rule, judge, among))]
    words = [part for part in parts if part in ("best", "knee")]
    if len(words) > 1:
        raise ValueError(f"pick = {rule!r}: only one of best and knee can be picked at a time")
    within = [record for record in among if _within(bounds, record, judge)]
    if not within:
        raise ValueError(f"pick = {rule!r}: none of {_ranges(bounds, among, judge)}")
    return knee(judge, within) if words == ["knee"] else comparable(judge, within)[0]


def knee(judge: Judge, records: Sequence[Record]) -> Record:
    """The knee of the front of records, of which one at least is feasible.

    Each objective is scaled to [0, 1] from its best to its worst on the front, and the knee is the
    network with the least sum of what it loses (minimum Manhattan distance to the ideal point;
    Chiu, Yen & Juan, 2016).  With two objectives it is the one that bulges furthest beyond the line
    between the front's two ends (Das, 1999).  Of equals, the better by the first objective.
    """
    found = front(judge, records)
    losses = estimated_losses(judge, found)
    least, most = losses.min(axis=0), losses.max(axis=0)
    scaled = (losses - least) / numpy.where(most > least, most - least, 1)
    return found[int(scaled.sum(axis=1).round(12).argmin())]


def _by_key(networks: Sequence[Record], beginning: str) -> Record:
    found = [record for record in networks if record.key.startswith(beginning)]
    if not found:
        raise ValueError(
            f"pick = {beginning!r}: no key of the archive begins so; legal: {LEGAL}; "
            "ranking.csv and front.csv list the keys"
        )
    if len(found) > 1:
        raise ValueError(
            f"pick = {beginning!r}: {len(found)} keys of the archive begin so, "
            f"like {found[0].key} and {found[1].key}"
        )
    (record,) = found
    if record.status != "ok":
        raise ValueError(
            f"pick = {beginning!r}: that network was not measured ({record.status}: "
            f"{record.message})"
        )
    return record


def _bound(part: str, rule: str, judge: Judge, among: Sequence[Record]) -> Bound | None:
    if part in ("best", "knee"):
        return None
    match = BOUND.fullmatch(part)
    if not match:
        hint = did_you_mean(part, ("best", "knee"))
        raise ValueError(f"pick = {rule!r}: {part!r} is unknown; legal: {LEGAL}{hint}")
    name, comparison, number = match.groups()
    try:
        limit = float(number)
    except ValueError:
        raise ValueError(f"pick = {rule!r}: {number!r} is not a number") from None
    measured = dict.fromkeys(name for record in among for name in record.measurement)
    legal = dict.fromkeys([*(objective.name for objective in judge.objectives), *measured])
    if name not in legal:
        raise ValueError(
            f"pick = {rule!r}: {name!r} was not measured; legal: {', '.join(legal)}"
            f"{did_you_mean(name, legal)}"
        )
    return Bound(name, comparison, limit)


def _value(name: str, record: Record, judge: Judge) -> float | None:
    if name in record.measurement:
        return record.measurement[name]
    for objective in judge.objectives:
        if objective.name == name:
            return objective.value(record.measurement)
    return None


def _within(bounds: Sequence[Bound], record: Record, judge: Judge) -> bool:
    values = [(bound, _value(bound.name, record, judge)) for bound in bounds]
    return all(value is not None and bound.holds(value) for bound, value in values)


def _ranges(bounds: Sequence[Bound], among: Sequence[Record], judge: Judge) -> str:
    """How many networks there are and where the values lie that were asked for."""
    shown = []
    for name in dict.fromkeys(bound.name for bound in bounds):
        values = [v for record in among if (v := _value(name, record, judge)) is not None]
        shown.append(f"{name} goes from {as_number(min(values))} to {as_number(max(values))}")
    return f"{len(among)} networks is within it; {', '.join(shown)}"
