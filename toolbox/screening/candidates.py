"""Which networks a guide may choose among, and which of them first."""

import random
from collections.abc import Iterable, Sequence

import moocore
import numpy

from toolbox.fronts import best_first
from toolbox.individual import Individual
from toolbox.networks import Networks
from toolbox.screening.learner import Fit

HOPES = (0.0, 1.0, 2.0)  # standard deviations by which a network may be better than believed
MOST_BY_VOLUME = 3  # objectives; of more, hypervolumes take too long
REFERENCE = 1.1  # of each objective, scaled to 0..1 by what was evaluated
BEST = 10  # networks whose neighbours are looked at
CHANGED = "screen:one gene changed by the guide"  # what made a neighbour, as its lineage says it


class Candidates:
    """Networks of the space of a search."""

    def __init__(self, networks: Networks):
        self.networks, self.judge, self.space = networks, networks.judge, networks.space

    def strangers(self, count: int) -> list[Individual]:
        """Networks drawn anywhere in the space, those that are legal of `count`."""
        sizes = [len(gene.choices) for gene in self.space.genes]
        return self.legal([random.randrange(size) for size in sizes] for _ in range(count))

    def neighbours(self, fit: Fit, count: int) -> list[Individual]:
        """Networks that differ in a gene from one of those that are believed to be the best."""
        best = best_first(fit.beside)[:BEST]
        found = []
        for _ in range(count):
            parent = fit.among[random.choice(best)]
            genome = list(parent)
            place = random.randrange(len(genome))
            genome[place] = random.randrange(len(self.space.genes[place].choices))
            for neighbour in self.legal([genome]):
                neighbour.made_by = (CHANGED,)
                neighbour.made_of = self._born(parent)
                found.append(neighbour)
        return found

    def _born(self, genome: list[int]) -> tuple[int, ...]:
        key, _ = self.networks.identify(genome)
        return self.networks.lineage.born(key)

    def legal(self, genomes: Iterable[list[int]]) -> list[Individual]:
        return [
            Individual(genome, weights=self.judge.weights)
            for genome in genomes
            if not self.space.violation(genome) and not self.networks.known_violation(genome)
        ]

    def new(
        self,
        pool: Sequence[Individual],
        places: Iterable[int],
        beside: Iterable[Individual] = (),
    ) -> tuple[list[int], list[int]]:
        """The places whose network is neither known nor stands before or beside, and the others."""
        new: list[int] = []
        old: list[int] = []
        seen = {self.networks.identify(one)[0] for one in beside}
        for place in places:
            key, _ = self.networks.identify(pool[place])
            known = key in self.networks.records or key in self.networks.awaited or key in seen
            (old if known else new).append(place)
            seen.add(key)
        return new, old

    def best(
        self, fit: Fit, means: numpy.ndarray, deviations: numpy.ndarray, places: list[int]
    ) -> list[int]:
        """The places, the most promising first, in turns by how much the unknown is hoped for."""
        if not places:
            return []
        hoped = [means[places] - hope * deviations[places] for hope in HOPES]
        if 1 < len(self.judge.objectives) <= MOST_BY_VOLUME:
            return [places[index] for index in by_volume(hoped, fit.beside)]
        orders = []
        for losses in hoped:
            ranks = None
            if len(self.judge.objectives) > 1:
                ranks = moocore.pareto_rank(numpy.vstack([losses, fit.beside]))[: len(places)]
            orders.append(best_first(losses, ranks).tolist())
        in_turns = dict.fromkeys(index for turn in zip(*orders, strict=True) for index in turn)
        return [places[index] for index in in_turns]


def by_volume(hoped: Sequence[numpy.ndarray], beside: numpy.ndarray) -> list[int]:
    """The places of candidates, the most promising first: in turns by each of the hopes the one
    that adds most hypervolume to what is there and was chosen before; then the rest by fronts.

    hoped: (candidates, objectives) losses, of each hope.  beside: losses of what is there.
    """
    low, high = beside.min(axis=0), beside.max(axis=0)
    scale = numpy.where(high > low, high - low, 1.0)
    there = (beside - low) / scale
    front = there[moocore.is_nondominated(there)]
    points = [(losses - low) / scale for losses in hoped]
    gains = [numpy.array([_added(point, front) for point in some]) for some in points]
    chosen: list[int] = []
    left = numpy.ones(len(points[0]), dtype=bool)
    for turn in range(len(left)):
        gain, some = gains[turn % len(gains)], points[turn % len(gains)]
        while True:  # a gain only gets smaller, so that few of them are computed again
            best = int(numpy.argmax(numpy.where(left, gain, -1.0)))
            before, gain[best] = gain[best], _added(some[best], front)
            if gain[best] >= before or gain[best] >= numpy.where(left, gain, -1.0).max():
                break
        if gain[best] <= 0:
            break
        chosen.append(best)
        left[best] = False
        front = numpy.vstack([front, some[best]])
        front = front[moocore.is_nondominated(front)]
    rest = numpy.flatnonzero(left)
    ranks = moocore.pareto_rank(numpy.vstack([points[0][rest], there]))[: len(rest)]
    return [*chosen, *rest[best_first(points[0][rest], ranks)].tolist()]


def _added(point: numpy.ndarray, front: numpy.ndarray) -> float:
    """The hypervolume that a point adds to a front."""
    if (point >= REFERENCE).any():
        return 0.0
    covered = moocore.hypervolume(numpy.maximum(front, point), ref=[REFERENCE] * len(point))
    return float(numpy.prod(REFERENCE - point) - covered)
