"""A learned guide for genes that act together: the best of several rankers chooses the children.

As a guide of architecture search: Dudziak et al. (BRP-NAS, 2020).
"""

import logging
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any, Protocol

import moocore
import numpy
from annotated_types import Ge
from threadpoolctl import threadpool_limits

from toolbox.archive import Record
from toolbox.belief import Belief
from toolbox.evaluation import Evaluator, unmoved_generators
from toolbox.fronts import best_first
from toolbox.individual import Individual
from toolbox.objectives.objective import Objective
from toolbox.probability import Probability
from toolbox.screening.encoding import Encoded, Encoding
from toolbox.screening.gaussian_process import GaussianProcess, added, in_pairs, smooth
from toolbox.screening.trees import Trees

log = logging.getLogger(__name__)

FEWEST = 20  # networks that it is fitted on
MOST = 300  # networks that it is fitted on; of more the better half, and the rest from the others
GROWTH = 1.1  # it is fitted again when so many times more networks are known
SURE = 3.0  # of the log of how much more probable the results are by a ranker than without one
AT_ONCE = 4096  # networks that are predicted together
HOPES = (0.0, 1.0, 2.0)  # standard deviations by which a network may be better than believed
STRANGERS = 0.25  # networks from anywhere in the space, for each child that is bred
NEIGHBOURS = 0.5  # networks next to the best, for each child that is bred
MOST_BY_VOLUME = 3  # objectives; of more, hypervolumes take too long
REFERENCE = 1.1  # of each objective, scaled to 0..1 by what was evaluated
OWN = 0.35  # of the variance that is taken for noise, what is a network's own and no noise
BEST = 10  # networks whose neighbours are looked at
CHANGED = "screen:one gene changed by the guide"  # what made a neighbour, as its lineage says it


class Ranker(Protocol):
    """What learns which of two networks is better."""

    def fit(self, networks: Encoded, losses: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Learn losses (networks,) of mean 0; the mean and the standard deviation of what is
        expected of each by what has not seen it."""

    def predict(self, networks: Encoded) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The mean and the standard deviation of the losses of networks, (networks,) each."""


RANKERS: dict[str, Callable[[], Ranker]] = {
    "added": lambda: GaussianProcess(added),
    "in_pairs": lambda: GaussianProcess(in_pairs),
    "smooth": lambda: GaussianProcess(smooth),
    "trees": Trees,
}


@dataclass
class Fit:
    """The rankers of one moment.

    chosen: of each predicted objective.  center, spread: of the numbers.  networks: how many were
    known.  among: the canonical genomes that it was fitted on.  beside: what it believes of them.
    unseen: of each predicted objective what was expected of them by fits that had not seen them,
    means and standard deviations, in normal scores.  noise: of a single training, in the same.
    """

    chosen: dict[int, Ranker]
    center: numpy.ndarray
    spread: numpy.ndarray
    networks: int
    among: list[list[int]]
    unseen: dict[int, tuple[numpy.ndarray, numpy.ndarray]]
    noise: dict[int, float]
    beside: numpy.ndarray = field(init=False)


class InteractionRanker:
    """A screen that breeds `candidates` times as many children as are trained.

    An objective that the problem knows without training is taken as it is.  Every other one is
    predicted by the best of four rankers, fitted on the ranks of the networks evaluated so far
    (encoding.py tells on what of them): genes that add up, that act in pairs, that are smooth
    (gaussian_process.py), and trees (trees.py).  The best is the one by which the results were
    most probable, each network's by a fit that has not seen that network.  With several objectives
    the best networks are those on the first predicted fronts, beside the networks evaluated so far,
    and there those with the largest crowding distance.

    So that no search sticks, networks next to the best and networks from anywhere in the space
    stand beside the children, a network that is known is not chosen again while there is another,
    and those that choose take turns: one by the mean of what is believed, the others by what could
    be, one and two standard deviations better (upper confidence bounds; Srinivas et al., 2010).

    While the results are hardly more probable by the best ranker than without one, for any of the
    objectives, no ranker chooses, and only as many children are bred as are trained.

    random_share: of the children is trained as it comes.
    """

    def __init__(
        self,
        space: Any,
        objectives: Sequence[Objective],
        evaluator: Evaluator,
        candidates: Annotated[int, Ge(1)] = 16,
        random_share: Probability = 0.05,
    ):
        self.space = space
        self.objectives = objectives
        self.networks, self.judge = evaluator.networks, evaluator.judge
        self.candidates = candidates
        self.random_share = random_share
        self._encoding = Encoding(self.networks)
        self._rankers: dict[tuple[int, str], Ranker] = {}
        self._fit: Fit | None = None
        self._helps = True

    def __call__(self, breed: Callable[[int], list[Individual]], count: int) -> list[Individual]:
        """`count` of the children that are bred: the most promising, and a random share."""
        known = len(self.networks.records)
        if known < FEWEST or not count:
            return breed(count)
        if self._fit is None or known >= GROWTH * self._fit.networks:
            self._fit = self._refitted()
        fit = self._fit
        if not self._helps:
            return breed(count)
        pool = breed(count * self.candidates)
        # A share of less than one child is one child at times.
        share = int(count * self.random_share + random.random())
        by_chance = random.sample(range(len(pool)), share)
        bred = len(pool)
        pool += self._neighbours(fit, int(NEIGHBOURS * bred))
        pool += self._strangers(int(STRANGERS * bred))
        with threadpool_limits(1):  # the cores are the trainings'; threads change the digits
            means, deviations = self._believed(fit, pool)
        others = self._new(pool, [n for n in range(len(pool)) if n not in by_chance])
        guided = self._best(fit, means, deviations, others)[: count - share]
        return [pool[place] for place in (*by_chance, *guided)]

    def _strangers(self, count: int) -> list[Individual]:
        """Networks drawn anywhere in the space, those that are legal of `count`."""
        sizes = [len(gene.choices) for gene in self.space.genes]
        return self._legal([random.randrange(size) for size in sizes] for _ in range(count))

    def _neighbours(self, fit: Fit, count: int) -> list[Individual]:
        """Networks that differ in a gene from one of those that are believed to be the best."""
        best = best_first(fit.beside)[:BEST]
        found = []
        for _ in range(count):
            parent = fit.among[random.choice(best)]
            genome = list(parent)
            place = random.randrange(len(genome))
            genome[place] = random.randrange(len(self.space.genes[place].choices))
            for neighbour in self._legal([genome]):
                neighbour.made_by = (CHANGED,)
                neighbour.made_of = self._born(parent)
                found.append(neighbour)
        return found

    def _born(self, genome: list[int]) -> tuple[int, ...]:
        key, _ = self.networks.identify(genome)
        return self.networks.lineage.born(key)

    def _legal(self, genomes: Iterable[list[int]]) -> list[Individual]:
        return [
            Individual(genome, weights=self.judge.weights)
            for genome in genomes
            if not self.space.violation(genome) and not self.networks.known_violation(genome)
        ]

    def _new(self, pool: Sequence[Individual], places: Iterable[int]) -> list[int]:
        """The places, those first whose network is neither known nor stands before."""
        new: list[int] = []
        old: list[int] = []
        seen: set[str] = set()
        for place in places:
            key, _ = self.networks.identify(pool[place])
            known = key in self.networks.records or key in self.networks.awaited or key in seen
            (old if known else new).append(place)
            seen.add(key)
        return new or old

    def _best(
        self, fit: Fit, means: numpy.ndarray, deviations: numpy.ndarray, places: list[int]
    ) -> list[int]:
        """The places, the most promising first, in turns by how much the unknown is hoped for."""
        if not places:
            return []
        hoped = [means[places] - hope * deviations[places] for hope in HOPES]
        if 1 < len(self.objectives) <= MOST_BY_VOLUME:
            return [places[index] for index in by_volume(hoped, fit.beside)]
        orders = []
        for losses in hoped:
            ranks = None
            if len(self.objectives) > 1:
                ranks = moocore.pareto_rank(numpy.vstack([losses, fit.beside]))[: len(places)]
            orders.append(best_first(losses, ranks).tolist())
        in_turns = dict.fromkeys(index for turn in zip(*orders, strict=True) for index in turn)
        return [places[index] for index in in_turns]

    def _records(self) -> list[Record]:
        """Of every network evaluated so far, in an order that does not tell which was first: a
        search that is continued must fit the same rankers."""
        return sorted(self.networks.records.values(), key=lambda record: record.genome)

    def _refitted(self) -> Fit:
        """Every ranker fitted anew, the best chosen, and whether it chooses decided."""
        records = self._records()
        losses = self.judge.losses(records)
        rows = kept(losses)
        genomes = [records[row].genome for row in rows]
        encoded = self._encoding.of(genomes)
        center, spread = encoded.numbers.mean(axis=0), encoded.numbers.std(axis=0)
        spread[spread < 1e-9] = 1.0
        encoded = Encoded(encoded.choices, (encoded.numbers - center) / spread)
        fit = Fit({}, center, spread, len(records), genomes, {}, {})
        gains = []
        # At its first import scikit-learn draws from the generator that steers the search.
        with threadpool_limits(1), unmoved_generators():
            for column in self._predicted:
                targets = normal_scores(losses[rows, column])
                gains.append(self._choose(fit, column, encoded, targets))
            fit.beside, _ = self._believed(fit, genomes)
        gain = min(gains, default=SURE)
        if (gain >= SURE) != self._helps:
            self._helps = not self._helps
            state = "on" if self._helps else "off"
            how = "tells" if self._helps else "does not yet tell"
            log.info(
                "the interaction ranker is %s: what it expects of unseen networks %s good from bad "
                "(log probability %+.1f, %g is needed)",
                *(state, how, gain, SURE),
            )
        return fit

    def _choose(self, fit: Fit, column: int, encoded: Encoded, targets: numpy.ndarray) -> float:
        """Choose the ranker of an objective; the log of how much more probable the results are by
        it than without one."""
        found, noises = {}, {}
        for name, new in RANKERS.items():
            ranker = self._rankers.setdefault((column, name), new())
            found[name] = ranker.fit(encoded, targets)
            if isinstance(ranker, GaussianProcess):  # trees tell no noise
                noises[name] = ranker.noise_deviation
        said = {name: log_density(targets, *found[name]) for name in found}
        best = max(said, key=said.__getitem__)
        fit.chosen[column] = self._rankers[column, best]
        fit.unseen[column] = found[best]
        fit.noise[column] = noises[max(noises, key=said.__getitem__)]
        log.debug("after %d networks %s ranks by %r: %s", fit.networks, column, best, said)
        nothing = numpy.full(len(targets), max(float(targets.std()), 1e-9))
        return len(targets) * (said[best] - log_density(targets, 0 * targets, nothing))

    def beliefs(self) -> dict[str, Belief]:
        """What is believed of each network of the search by all others, by its key; nothing while
        no ranker chooses."""
        if len(self.networks.records) < FEWEST:
            return {}
        fit = self._refitted()
        if not self._helps or not fit.chosen:
            return {}
        records = self._records()
        losses = self.judge.losses(records)
        with threadpool_limits(1):
            means, spreads = self._believed(fit, [record.genome for record in records])
        noises = numpy.zeros_like(means)
        rows = kept(losses)
        sound = numpy.array([self.judge.feasible(records[row]) for row in rows])
        for column, (unseen, expected) in fit.unseen.items():
            noise = fit.noise[column]
            spread = numpy.hypot(spreads[:, column], noise)
            means[rows, column], spread[rows] = unseen, expected
            scores = normal_scores(losses[rows, column])
            in_units = Scale(scores[sound], losses[rows[sound], column])
            center = means[:, column]
            width = (in_units(center + spread) - in_units(center - spread)) / 2
            means[:, column] = in_units(center)
            share = (1 - OWN) * numpy.minimum(noise / spread, 1.0) ** 2
            noises[:, column] = width * numpy.sqrt(share)
            spreads[:, column] = width * numpy.sqrt(1 - share)
        weights = numpy.array(self.judge.weights)
        return {
            record.key: Belief(*(tuple(row.tolist()) for row in (-mean * weights, spread, noise)))
            for record, mean, spread, noise in zip(records, means, spreads, noises, strict=True)
        }

    @cached_property
    def _predicted(self) -> list[int]:
        """The places of the objectives that are not known without training."""
        known = set(self.networks.arithmetic(self._records()[0].genome))
        return [
            column
            for column, objective in enumerate(self.objectives)
            if not (objective.needs and known.issuperset(objective.needs))
        ]

    def _believed(
        self, fit: Fit, genomes: Sequence[Sequence[int]]
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The mean and the standard deviation of what is believed of genomes, (networks,
        objectives) each, smaller is better."""
        canonical = [self.networks.identify(list(genome))[1] for genome in genomes]
        means = numpy.zeros((len(canonical), len(self.objectives)))
        deviations = numpy.zeros_like(means)
        for column, objective in enumerate(self.objectives):
            if column not in self._predicted:
                known = [self.networks.arithmetic(genome) for genome in canonical]
                means[:, column] = [-objective.weight * objective.value(one) for one in known]
        for start in range(0, len(canonical), AT_ONCE):
            rows = slice(start, start + AT_ONCE)
            encoded = self._encoding.of(canonical[rows])
            encoded = Encoded(encoded.choices, (encoded.numbers - fit.center) / fit.spread)
            for column, ranker in fit.chosen.items():
                means[rows, column], deviations[rows, column] = ranker.predict(encoded)
        return means, deviations


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


def kept(losses: numpy.ndarray) -> numpy.ndarray:
    """The rows of losses that rankers are fitted on, in order."""
    if len(losses) <= MOST:
        return numpy.arange(len(losses))
    order = best_first(losses)
    best, rest = order[: MOST // 2], order[MOST // 2 :]
    evenly = numpy.linspace(0, len(rest) - 1, MOST - len(best)).astype(int)
    return numpy.sort(numpy.r_[best, rest[evenly]])


def log_density(losses: numpy.ndarray, means: numpy.ndarray, deviations: numpy.ndarray) -> float:
    """How probable losses were, each by a normal distribution of its own."""
    away = (losses - means) / deviations
    return float(-(numpy.log(deviations) + away**2 / 2).mean())


class Scale:
    """From normal scores to the losses that they are of; straight on beyond the best and worst."""

    def __init__(self, scores: numpy.ndarray, losses: numpy.ndarray):
        order = numpy.argsort(scores, kind="stable")
        self.scores, self.losses = scores[order], losses[order]
        tenth = max(1, len(order) // 10)
        ends = (0, min(tenth, len(order) - 1)), (-1 - min(tenth, len(order) - 1), -1)
        self.slopes = [
            (self.losses[b] - self.losses[a]) / max(self.scores[b] - self.scores[a], 1e-9)
            for a, b in ends
        ]

    def __call__(self, scores: numpy.ndarray) -> numpy.ndarray:
        below = numpy.minimum(scores - self.scores[0], 0) * self.slopes[0]
        above = numpy.maximum(scores - self.scores[-1], 0) * self.slopes[1]
        losses: numpy.ndarray = numpy.interp(scores, self.scores, self.losses) + below + above
        return losses


def normal_scores(losses: numpy.ndarray) -> numpy.ndarray:
    """Losses by their ranks alone, as normal quantiles: (networks,) of mean 0."""
    from scipy.special import ndtri
    from scipy.stats import rankdata

    scores = ndtri((rankdata(losses) - 0.5) / len(losses))
    centered: numpy.ndarray = scores - scores.mean()
    return centered
