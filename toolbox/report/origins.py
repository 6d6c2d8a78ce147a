"""Which operators made the networks of a run, and whom the winner descends from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from toolbox.lineage import Birth, ancestors
from toolbox.report.evaluations import Evaluations


def made_by(birth: Birth) -> str:
    """The operators that made an individual, for a person.

    >>> made_by(Birth(9, 2, "key", ("mate:uniform", "mutate:reset_gene"), (1, 2)))
    'uniform, then reset_gene'
    """
    if birth.operators:
        return ", then ".join(operator.partition(":")[2] for operator in birth.operators)
    if birth.parents:
        return "copy of its parent"
    return "drawn anew" if birth.generation else "first population"


def operator_table(runs: Sequence[Evaluations], best: set[str]) -> list[dict[str, Any]]:
    """What became of the individuals that each operator, or operators in turn, made.

    best: keys of the networks at the top.  An individual is better than its parents if it dominates
    each of them; with one objective, if its fitness is better.
    """
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        seen: set[str] = set()
        chosen = {parent for birth in run.births for parent in birth.parents}
        for birth in run.births:
            name = made_by(birth)
            row = rows.setdefault(name, {"made by": name} | dict.fromkeys(COLUMNS, 0))
            row["individuals"] += 1
            row["new networks"] += birth.key not in seen
            row["survivors"] += birth.survived
            row["became parents"] += birth.number in chosen
            row["better than their parents"] += _better_than_parents(run, birth)
            row["at the top"] += birth.key in best and birth.key not in seen
            seen.add(birth.key)
    for row in rows.values():
        row["survivors, %"] = round(100 * row["survivors"] / row["individuals"], 1)
    return sorted(rows.values(), key=lambda row: -row["individuals"])


COLUMNS = (
    *("individuals", "new networks", "survivors", "survivors, %"),
    *("better than their parents", "became parents", "at the top"),
)


def _better_than_parents(run: Evaluations, birth: Birth) -> bool:
    own = _losses(run, birth)
    return bool(birth.parents) and all(
        bool((own <= other).all() and (own < other).any())
        for other in (_losses(run, run.births[parent]) for parent in birth.parents)
    )


def _losses(run: Evaluations, birth: Birth) -> numpy.ndarray:
    """As `Evaluations.losses`; what is not feasible is worse than everything."""
    place = run.by_key.get(birth.key)
    losses = run.losses[place] if place is not None else numpy.array([numpy.nan])
    known: numpy.ndarray = numpy.nan_to_num(losses, nan=numpy.inf)
    return known


@dataclass(frozen=True)
class Ancestry:
    """The births that a network comes from, the oldest first, and the line through the best parent.

    line: from the first population to the network itself.
    """

    births: list[Birth]
    line: list[Birth]

    @property
    def near(self) -> list[Birth]:
        """The line and all parents of those on it."""
        numbers = {birth.number for birth in self.line}
        numbers |= {parent for birth in self.line for parent in birth.parents}
        return [birth for birth in self.births if birth.number in numbers]


def ancestry(run: Evaluations, key: str) -> Ancestry | None:
    """Whom the network of a key descends from, since its first birth; None if it has none."""
    born = next((birth for birth in run.births if birth.key == key), None)
    if born is None:
        return None
    line = [born]
    while parents := line[-1].parents:
        line.append(min((run.births[p] for p in parents), key=lambda b: _losses(run, b)[0]))
    return Ancestry(ancestors(run.births, born.number), line[::-1])


def ancestry_table(run: Evaluations, found: Ancestry) -> list[dict[str, Any]]:
    """The line of an ancestry, the winner first."""
    names = [objective.name for objective in run.judge.objectives]
    rows = []
    for birth in reversed(found.line):
        place = run.by_key.get(birth.key)
        record = None if place is None else run.records[place]
        values = [""] * len(names) if place is None else run.fitness[place].tolist()
        rows.append(
            {"generation": birth.generation, "made by": made_by(birth)}
            | dict(zip(names, values, strict=True))
            | {"architecture": record.architecture if record else "", "key": birth.key}
        )
    return rows


def first_births(run: Evaluations) -> dict[str, Birth]:
    """The first birth of each network, by key."""
    births: dict[str, Birth] = {}
    for birth in run.births:
        births.setdefault(birth.key, birth)
    return births
