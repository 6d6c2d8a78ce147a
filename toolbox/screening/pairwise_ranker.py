"""A learned guide: of many children those are trained that a ranker believes to be the best.

As a guide of architecture search: Dudziak et al. (BRP-NAS, 2020).
"""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Annotated, Any

import moocore
import numpy
from annotated_types import Ge, Gt, Le

from toolbox.archive import Record
from toolbox.evaluation import Evaluator
from toolbox.fronts import best_first
from toolbox.individual import Individual
from toolbox.objectives.objective import Objective
from toolbox.probability import Probability
from toolbox.screening import linear_ranker
from toolbox.screening.foreseen import Prediction, unknown_objectives, worst_tau

log = logging.getLogger(__name__)

FEWEST = 20  # networks that it is fitted on
GROWTH = 1.05  # it is fitted again when so many times more networks are known
REMEMBERED = 3  # fits whose predictions are held against the results


@dataclass
class Fit:
    """The rankers of one moment.

    weights: (rankers, features, objectives), zero where an objective is known without training.
    networks: how many were known.  foreseen: what the first ranker predicted, by the network's key.
    """

    weights: numpy.ndarray
    networks: int
    foreseen: dict[str, Prediction] = field(default_factory=dict)


class PairwiseRanker:
    """A screen that breeds `candidates` times as many children as are trained.

    An objective that the problem knows without training is taken as it is; every other one is
    predicted by a ranker, fitted on all networks evaluated so far, on their genes, one-hot, and
    the logarithms of what is known without training.  With several objectives the best are those on
    the first predicted fronts, beside the networks evaluated so far, and there those with the
    largest crowding distance.

    rankers: take turns to choose.  The first one is fitted as it is said above, each other one on a
    bootstrap sample, so that they differ where the networks so far leave it open, and it is tried
    there (bootstrapped Thompson sampling; Osband et al., 2016).

    random_share: of the children is trained as it comes; it keeps the search open and shows whether
    the first ranker is right.  least_tau: while Kendall's tau between its predictions and the
    results is lower, no ranker chooses.  The tau is taken over the pairs of its last fits in which
    at least one was not chosen; in the beginning, by cross-validation.  regularization: see
    linear_ranker.py.
    """

    def __init__(
        self,
        space: Any,
        objectives: Sequence[Objective],
        evaluator: Evaluator,
        candidates: Annotated[int, Ge(1)] = 16,
        rankers: Annotated[int, Ge(1)] = 3,
        random_share: Probability = 0.05,
        least_tau: Annotated[float, Ge(-1), Le(1)] = 0.3,
        regularization: Annotated[float, Gt(0)] = 0.001,
    ):
        self.space = space
        self.objectives = objectives
        self.networks, self.judge = evaluator.networks, evaluator.judge
        self.candidates = candidates
        self.rankers = rankers
        self.random_share = random_share
        self.least_tau = least_tau
        self.regularization = regularization
        self._fits: list[Fit] = []
        self._helps = True

    def __call__(self, breed: Callable[[int], list[Individual]], count: int) -> list[Individual]:
        """`count` of the children that are bred: the most promising, and a random share."""
        known = len(self.networks.records)
        if known < FEWEST or not count:
            return breed(count)
        if not self._fits or known >= GROWTH * self._fits[-1].networks:
            self._refit()
        fit = self._fits[-1]
        pool = breed(count * self.candidates if self._helps else count)
        believed = self._losses(fit, pool)  # (rankers, children, objectives)
        # A share of less than one child is one child at times.
        share = int(count * self.random_share + random.random()) if self._helps else count
        by_chance = random.sample(range(len(pool)), share)
        others = [place for place in range(len(pool)) if place not in by_chance]
        guided = self._best(fit, believed, others)[: count - share]
        for place in (*by_chance, *guided):
            key, _ = self.networks.identify(pool[place])
            fit.foreseen[key] = Prediction(believed[0, place], guided=place not in by_chance)
        return [pool[place] for place in (*by_chance, *guided)]

    def _best(self, fit: Fit, believed: numpy.ndarray, places: list[int]) -> list[int]:
        """The places, the most promising first, in turns by each ranker."""
        known = self._losses(fit, [record.genome for record in self._records()])
        orders = []
        for losses, among in zip(believed[:, places], known, strict=True):
            ranks = moocore.pareto_rank(numpy.vstack([losses, among]))[: len(places)]
            orders.append(best_first(losses, ranks).tolist())
        in_turns = dict.fromkeys(index for turn in zip(*orders, strict=True) for index in turn)
        return [places[index] for index in in_turns]

    def _records(self) -> list[Record]:
        """Of every network evaluated so far, in an order that does not tell which was first: a
        search that is continued must fit the same ranker."""
        return sorted(self.networks.records.values(), key=lambda record: record.genome)

    def _refit(self) -> None:
        """Fit it anew, and decide by its record whether it chooses."""
        records = self._records()
        features = self._features([record.genome for record in records])
        losses = self.judge.losses(records)
        tau = self._tau() if self._fits else self._first_tau(features, losses)
        if tau is not None and (tau >= self.least_tau) != self._helps:
            self._helps = not self._helps
            log.info("the pairwise ranker is %s: tau %.2f", "on" if self._helps else "off", tau)
        weights = numpy.zeros((self.rankers, features.shape[1], len(self.objectives)))
        for ranker in range(self.rankers):
            every = range(len(records))
            sample = random.choices(every, k=len(records)) if ranker else list(every)
            for column in self._predicted:
                fitted = self._fitted(features[sample], losses[sample, column])
                weights[ranker, :, column] = fitted
        self._fits = [*self._fits[1 - REMEMBERED :], Fit(weights, len(records))]

    def _fitted(self, features: numpy.ndarray, losses: numpy.ndarray) -> numpy.ndarray:
        """Weights for features of which those that are numbers are scaled to a spread of 1."""
        scale = numpy.ones(features.shape[1])
        numbers = slice(sum(len(gene.choices) for gene in self.space.genes), None)
        scale[numbers] = features[:, numbers].std(axis=0)
        scale[scale == 0] = 1.0
        return linear_ranker.fitted(features / scale, losses, self.regularization) / scale

    def _first_tau(self, features: numpy.ndarray, losses: numpy.ndarray) -> float | None:
        taus = (
            linear_ranker.cross_validated_tau(self._fitted, features, losses[:, column])
            for column in self._predicted
        )
        return min(taus, default=None)

    def _tau(self) -> float | None:
        return worst_tau((fit.foreseen for fit in self._fits), self.networks, self._predicted)

    @cached_property
    def _predicted(self) -> list[int]:
        return unknown_objectives(self.networks)

    def _losses(self, fit: Fit, genomes: Sequence[list[int]]) -> numpy.ndarray:
        """What is believed of genomes (rankers, networks, objectives), smaller is better."""
        canonical = [self.space.canonical(list(genome)) for genome in genomes]
        losses: numpy.ndarray = self._features(canonical) @ fit.weights
        for column, objective in enumerate(self.objectives):
            if column not in self._predicted:
                known = [self.networks.arithmetic(genome) for genome in canonical]
                losses[:, :, column] = [-objective.weight * objective.value(one) for one in known]
        return losses

    def _features(self, genomes: Sequence[list[int]]) -> numpy.ndarray:
        """(networks, features): the genes, one-hot, and the logarithms of what is known."""
        genes = numpy.array(genomes)
        columns = [
            genes[:, [position]] == numpy.arange(len(gene.choices))
            for position, gene in enumerate(self.space.genes)
        ]
        known = [self.networks.arithmetic(genome) for genome in genomes]
        names = sorted(known[0])
        numbers = [[one.get(name, 0.0) for name in names] for one in known]
        return numpy.hstack([*columns, numpy.log1p(numpy.array(numbers).reshape(len(known), -1))])
