"""A learned guide for genes that act together: the best of several rankers chooses the children.

As a guide of architecture search: Dudziak et al. (BRP-NAS, 2020).
"""

import logging
import random
from collections.abc import Callable, Sequence

import numpy

from toolbox.archive import Record
from toolbox.belief import Belief
from toolbox.drawn import Drawn
from toolbox.evaluation import Evaluator
from toolbox.individual import Individual
from toolbox.probability import Probability
from toolbox.screening.candidates import Candidates
from toolbox.screening.foretelling import Foretelling
from toolbox.screening.learner import Fit, Learner
from toolbox.screening.on_the_way import OnTheWay
from toolbox.screening.rankers import FEWEST, SURE, kept, normal_scores
from toolbox.screening.restart import Restart

log = logging.getLogger(__name__)

STRANGERS = 0.25  # networks from anywhere in the space, for each child that is bred
NEIGHBOURS = 0.5  # networks next to the best, for each child that is bred
OWN = 0.35  # of the variance that is taken for noise, what is a network's own and no noise


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

    With one objective, a part of the children belongs to a search that begins anew when nothing
    better was found for long (restart.py).

    random_share: of the children is trained as it comes.

    What a halving stopped is learned from as it would be worth after a whole training
    (on_the_way.py).

    With sources, which other searches found, each ranker is tried once more for each of them, on
    what the line through the source's foretelling leaves over, and the line alone from six networks
    on; a source by which the results are not more probable is not used (foretelling.py).
    """

    def __init__(
        self,
        evaluator: Evaluator,
        candidates: Drawn = 16,
        random_share: Probability = 0.05,
        sources: Sequence[Foretelling] = (),
    ):
        self.networks, self.judge = evaluator.networks, evaluator.judge
        self.candidates = candidates
        self.random_share = random_share
        self._on_the_way = (
            OnTheWay(self.networks, evaluator.halving.rungs(evaluator.problem))
            if evaluator.halving
            else None
        )
        losses = self._on_the_way.losses if self._on_the_way else self.judge.losses
        self._learner = Learner(self.networks, self._records, losses, sources)
        self._candidates = Candidates(self.networks)
        self._restart = Restart(self.networks, losses)
        self._helps = True

    def __call__(self, breed: Callable[[int], list[Individual]], count: int) -> list[Individual]:
        """`count` of the children that are bred: the most promising, and a random share."""
        known = len(self.networks.records)
        if known < self._learner.fewest or not count:
            return breed(count)
        fit = self._heeded(self._learner.newest(known))
        if not fit.helps:
            return breed(count)
        anew = self._restart.children(fit, count)
        count -= len(anew)
        pool = breed(count * self.candidates)
        # A share of less than one child is one child at times.
        share = int(count * self.random_share + random.random())
        by_chance = random.sample(range(len(pool)), share)
        bred = len(pool)
        pool += self._candidates.neighbours(fit, int(NEIGHBOURS * bred))
        pool += self._candidates.strangers(int(STRANGERS * bred))
        pool += self._foretold(fit, int(NEIGHBOURS * bred))
        means, deviations = self._learner.believed(fit, pool)
        places = [place for place in range(len(pool)) if place not in by_chance]
        new, old = self._candidates.new(pool, places, beside=anew)
        guided = self._candidates.best(fit, means, deviations, new)[: count - share]
        if len(guided) < count - share:  # nearly all of a small space is known
            again = self._candidates.best(fit, means, deviations, old)
            guided += again[: count - share - len(guided)]
        return [*anew, *(pool[place] for place in (*by_chance, *guided))]

    def _foretold(self, fit: Fit, count: int) -> list[Individual]:
        """The best networks of the sources that are used, up to `count`."""
        used = {id(line.foretelling): line.foretelling for line in fit.lines.values()}
        return self._candidates.legal(g for one in used.values() for g in one.best[:count])

    def _records(self) -> list[Record]:
        """Of every network evaluated so far, in an order that does not tell which was first."""
        return sorted(self.networks.records.values(), key=lambda record: record.genome)

    def _heeded(self, fit: Fit) -> Fit:
        """The same fit, when it was said if it helps now and did not, or no longer."""
        if fit.helps != self._helps:
            self._helps = fit.helps
            state = "on" if fit.helps else "off"
            how = "tells" if fit.helps else "does not yet tell"
            log.info(
                "the interaction ranker is %s: what it expects of unseen networks %s good from bad "
                "(log probability %+.1f, %g is needed)",
                *(state, how, fit.gain, SURE),
            )
        return fit

    def beliefs(self) -> dict[str, Belief]:
        """What is believed of each network of the search by all others, by its key; nothing while
        no ranker chooses, and nothing of a network that a halving stopped: the belief is of a whole
        training, and its result is not."""
        if len(self.networks.records) < FEWEST:
            return {}
        fit = self._heeded(self._learner.refitted())
        if not fit.helps or not fit.unseen:
            return {}
        records = self._records()
        losses = self._learner.losses(records)
        means, spreads = self._learner.believed(fit, [record.genome for record in records])
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
            if not (self._on_the_way and self._on_the_way.stopped(record))
        }


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
