"""What networks that a halving stopped would be worth after a whole training.

What a guide learns from must be of one kind, and after few epochs every network is worse.  Those
that went on tell by how much: from each rung to the next, theirs is a line.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from toolbox.archive import Record
from toolbox.networks import Networks

FEWEST_PAIRS = 3  # that a slope is fitted on; the mean distance of fewer
PRIOR = 4  # pairs that a line with the slope of the two spreads counts for


@dataclass(frozen=True)
class Step:
    """From losses after one rung to those after the next: a line, (objectives,) each."""

    slope: numpy.ndarray
    before: numpy.ndarray
    after: numpy.ndarray

    @classmethod
    def through(cls, before: numpy.ndarray, after: numpy.ndarray) -> "Step":
        """The line through the losses of networks that were measured after both, (networks,
        objectives) each: of least squares, drawn to the one that keeps their order.

        Few pairs tell no slope, and those that went on were the best, which makes it harder.
        """
        slope = numpy.ones(before.shape[1])
        if len(before) >= FEWEST_PAIRS:
            spread, later = before.std(axis=0), after.std(axis=0)
            together = ((before - before.mean(axis=0)) * (after - after.mean(axis=0))).mean(axis=0)
            weight = PRIOR / len(before)
            squares = (1 + weight) * spread**2
            some = squares > 1e-18
            slope[some] = (together + weight * spread * later)[some] / squares[some]
        return cls(numpy.maximum(slope, 0.0), before.mean(axis=0), after.mean(axis=0))

    def __call__(self, losses: numpy.ndarray) -> numpy.ndarray:
        expected: numpy.ndarray = self.after + self.slope * (losses - self.before)
        return expected


class OnTheWay:
    """The losses of a search whose networks are compared after each of `rungs` epochs."""

    def __init__(self, networks: Networks, rungs: Sequence[int]):
        self.networks, self.judge = networks, networks.judge
        self.rungs = rungs
        self._keys: dict[str, list[str]] = {}

    def stopped(self, record: Record) -> bool:
        """Whether what is known of a network is not after a whole training."""
        return record.key in self._keys_of(record)[:-1]

    def losses(self, records: Sequence[Record]) -> numpy.ndarray:
        """The losses of records, (networks, objectives): of those that were stopped what is
        expected of them after a whole training.

        Whatever failed or is beyond the bounds has the losses that it has.
        """
        losses = self.judge.losses(records)
        steps = self._steps()
        for row, record in enumerate(records):
            if self.stopped(record) and self.judge.feasible(record):
                for step in filter(None, steps[self._keys_of(record).index(record.key) :]):
                    losses[row] = step(losses[row])
        return losses

    def _steps(self) -> list[Step | None]:
        """From each rung to the next; None where no network went on."""
        pairs: list[list[tuple[Record, Record]]] = [[] for _ in self.rungs[1:]]
        for record in self.networks.records.values():
            came_to = self._until(record)
            for place, (before, after) in enumerate(itertools.pairwise(came_to)):
                if before and after and self.judge.feasible(before) and self.judge.feasible(after):
                    pairs[place].append((before, after))
        return [
            Step.through(*(self.judge.losses(side) for side in zip(*found, strict=True)))
            if found
            else None
            for found in pairs
        ]

    def _until(self, record: Record) -> list[Record | None]:
        """The records of a network after each rung that it came to in this search.

        Not what the archive has beyond: a search that is continued must learn what it learned.
        """
        keys = self._keys_of(record)
        before = keys[: keys.index(record.key)]
        return [*map(self.networks.archive.get, before), record]

    def _keys_of(self, record: Record) -> list[str]:
        """The keys of a network's records after each rung; the last is its own."""
        found = self._keys.get(record.architecture)
        if found is None:
            key = self.networks.archive.key(record.architecture)
            found = [self.networks.key_after(one, key, record.genome) for one in self.rungs]
            self._keys[record.architecture] = found
        return found
