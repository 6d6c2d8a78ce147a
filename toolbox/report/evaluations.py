"""A run's archive as columns, for the report's tables and plots."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

import moocore
import numpy

from toolbox.archive import Archive, Record
from toolbox.finals import Standing, estimated_losses, standings
from toolbox.halving import epochs_for
from toolbox.judge import Judge
from toolbox.lineage import Birth
from toolbox.report.ranking import front, ranking


@dataclass(frozen=True, eq=False)
class Evaluations:
    """Every network of a run, in the order in which they became known.

    name: the run's, short.  population: of the search, whose first one sets hypervolume's
    reference.  generations: the rows of generations.csv.
    """

    name: str
    judge: Judge
    archive: Archive
    population: int
    generations: Sequence[dict[str, str]] = ()

    @cached_property
    def records(self) -> list[Record]:
        known = self.archive.networks()
        return sorted(known, key=lambda record: self.archive.position(record.key))

    @cached_property
    def feasible(self) -> numpy.ndarray:
        """(networks,) bool: measured, and within the bounds."""
        return numpy.array([self.judge.feasible(record) for record in self.records], bool)

    @cached_property
    def fitness(self) -> numpy.ndarray:
        """(networks, objectives) as the search saw it; NaN where a network is not feasible."""
        nothing = (numpy.nan,) * len(self.judge.objectives)
        rows = [
            self.judge.fitness(record) if sound else nothing
            for record, sound in zip(self.records, self.feasible, strict=True)
        ]
        return numpy.array(rows, float).reshape(-1, len(nothing))

    @cached_property
    def estimated_losses(self) -> numpy.ndarray:
        """`losses` with the means of what was trained again in finals, and a guide's estimates."""
        found = self.losses.copy()
        sound = numpy.flatnonzero(self.feasible)
        found[sound] = estimated_losses(self.judge, [self.records[place] for place in sound])
        return found

    @cached_property
    def estimated(self) -> list[int]:
        """The objectives, by their places, whose estimates differ from what was measured; none
        without a guide."""
        if not any(record.belief for record in self.records):
            return []
        off = numpy.abs(self.estimated_losses - self.losses)
        return [int(n) for n in numpy.flatnonzero((numpy.nan_to_num(off) > 0).any(axis=0))]

    @cached_property
    def standings(self) -> list[Standing]:
        """How the networks of the finals stand, the best first; none if there were none."""
        return standings(self.judge, self.records)

    @cached_property
    def returned(self) -> list[Record]:
        """What the search returns: the front of several objectives, or the ranking by the only one,
        the best first."""
        best_first = front if len(self.judge.objectives) > 1 else ranking
        return best_first(self.judge, self.records)

    @cached_property
    def losses(self) -> numpy.ndarray:
        """`fitness` so that less is better."""
        return -self.fitness * [objective.weight for objective in self.judge.objectives]

    @cached_property
    def measured(self) -> dict[str, None]:
        """The names in any feasible measurement, in their order."""
        return dict.fromkeys(
            name
            for record, sound in zip(self.records, self.feasible, strict=True)
            if sound
            for name in record.measurement
        )

    def column(self, name: str) -> numpy.ndarray:
        """(networks,) of an objective or a name of the measurement; NaN where there is none."""
        names = [objective.name for objective in self.judge.objectives]
        if name in names and name not in self.measured:
            return self.fitness[:, names.index(name)]
        values = [
            record.measurement.get(name, numpy.nan) if sound else numpy.nan
            for record, sound in zip(self.records, self.feasible, strict=True)
        ]
        return numpy.array(values, float)

    @cached_property
    def seconds(self) -> numpy.ndarray:
        """(networks,) of searching until each was known, without the time between sessions.

        An archive that noted no sessions counts from its first network.
        """
        return self.searching(self.records)

    def searching(self, records: Sequence[Record]) -> numpy.ndarray:
        """Seconds of searching until each of some records became known, in their order.

        The order is the archive's, whatever the clock said: where it was set back, no time passed.
        """
        told = [datetime.fromisoformat(record.finished_at).timestamp() for record in records]
        steps = numpy.maximum(numpy.diff(told, prepend=told[:1]), 0)
        moments = told[0] + numpy.cumsum(steps) if told else numpy.zeros(0)
        begins = [datetime.fromisoformat(session["began"]).timestamp() for session in self.sessions]
        if len(moments) and (not begins or begins[0] > moments[0]):
            begins = [moments[0], *begins]
        pauses = numpy.zeros_like(moments)
        for begin in begins:
            after = moments >= begin
            before = moments[~after]
            if after.any():
                # What an earlier session spent on networks that it did not finish is not known.
                pauses[after] += begin - (before[-1] if len(before) else 0)
        seconds: numpy.ndarray = moments - pauses
        return seconds

    @property
    def sessions(self) -> list[dict[str, str]]:
        """What was started, when, and why it ended, if it did."""
        noted: list[dict[str, str]] = self.archive.noted("sessions", [])
        return noted

    @property
    def ended(self) -> str:
        """Why the search ended; empty if it did not, or if it is not known."""
        return self.sessions[-1]["ended"] if self.sessions else ""

    @cached_property
    def births(self) -> list[Birth]:
        return self.archive.births

    @cached_property
    def by_key(self) -> dict[str, int]:
        """The place in `records` of the network of each key, after however many epochs."""
        places = {record.architecture: place for place, record in enumerate(self.records)}
        return {record.key: places[record.architecture] for record in self.archive}

    @cached_property
    def epochs(self) -> float:
        """All that were trained for this archive; 0 if the problem does not tell."""
        return sum(epochs_for(record, first=False) for record in self.archive)

    @cached_property
    def shares(self) -> dict[str, int]:
        """How many individuals were measured, failed, infeasible, or of a network already known.

        From the births, which a continued search repeats; without them, what the archive tells.
        """
        counts = {"measured": 0, "failed": 0, "infeasible": 0}
        keys = dict.fromkeys(birth.key for birth in self.births) or self.by_key
        for key in keys:
            if (place := self.by_key.get(key)) is not None:
                failed = self.records[place].failed
                kind = "failed" if failed else "measured" if self.feasible[place] else "infeasible"
                counts[kind] += 1
        if self.births:
            counts["reused"] = len(self.births) - len(keys)
        else:
            counts["reused"] = sum(int(row["reused"]) for row in self.generations)
        return counts


def nondominated(losses: numpy.ndarray) -> numpy.ndarray:
    """The places of the rows that no other one dominates; rows with NaN are left out."""
    places = numpy.flatnonzero(numpy.isfinite(losses).all(axis=1))
    if not len(places):
        return places
    kept: numpy.ndarray = places[moocore.is_nondominated(losses[places], keep_weakly=True)]
    return kept


def best_so_far(losses: numpy.ndarray) -> numpy.ndarray:
    """The least of a column until each row; NaN until there is one.

    >>> best_so_far(numpy.array([numpy.nan, 3.0, 5.0, 2.0])).tolist()
    [nan, 3.0, 3.0, 2.0]
    """
    return numpy.fmin.accumulate(losses) if len(losses) else losses


def worst_of_the_first(runs: Sequence[Evaluations]) -> numpy.ndarray | None:
    """(objectives,) the worst losses in the first population of any run, from which hypervolumes
    count; None if none of them was feasible."""
    first = numpy.vstack([run.losses[: run.population] for run in runs])
    known = first[numpy.isfinite(first).all(axis=1)]
    return known.max(axis=0) if len(known) else None


def hypervolume_so_far(losses: numpy.ndarray, reference: numpy.ndarray) -> numpy.ndarray:
    """The volume between the front of the rows until each one and the reference point.

    losses: (networks, objectives), NaN rows add nothing.

    >>> hypervolume_so_far(numpy.array([[1.0, 1.0], [2.0, 2.0], [0.0, 1.0]]), [3, 3]).tolist()
    [4.0, 4.0, 6.0]
    """
    front = numpy.empty((0, losses.shape[1]))
    volume, volumes = 0.0, numpy.zeros(len(losses))
    for place, loss in enumerate(losses):
        if (loss < reference).all() and not (front <= loss).all(axis=1).any():
            front = numpy.vstack([front[~(loss <= front).all(axis=1)], loss])
            volume = float(moocore.hypervolume(front, ref=reference))
        volumes[place] = volume
    return volumes
