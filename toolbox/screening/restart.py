"""A search that found nothing better for long begins anew, beside the one that goes on.

What a guide believes of networks unlike all that it knows may be wrong for good: between two good
kinds of network lie bad ones, and it never crosses.  So a new search begins from strangers, and
learns from its own networks alone, because those of the old one would pull it back.  Restarts of
evolutionary searches: Fukunaga (1998); from so small a beginning that they are cheap: Auger &
Hansen (2005).
"""

import random
from collections.abc import Callable, Sequence

import numpy

from toolbox.archive import Record
from toolbox.individual import Individual
from toolbox.networks import Networks
from toolbox.screening.candidates import Candidates
from toolbox.screening.learner import Fit, Learner

PATIENCE = 60  # individuals since the one believed best, after which it begins
PATIENCE_ANEW = 30  # the same of its own, after which it begins once more
SHARE = 0.5  # of the children that are its own
NEIGHBOURS, STRANGERS = 16, 8  # that it chooses among, for each child


class Restart:
    """The children of a search that begins anew when one objective has not improved for long.

    losses: as for `Learner`.
    """

    def __init__(self, networks: Networks, losses: Callable[[Sequence[Record]], numpy.ndarray]):
        self.networks, self.losses = networks, losses
        self._candidates = Candidates(networks)
        self._begun = False
        self._begin()

    def _begin(self) -> None:
        self._asked: dict[str, None] = {}  # the keys of the networks that are its own, in order
        self._learner = Learner(self.networks, self._own, self.losses)

    def children(self, fit: Fit, count: int) -> list[Individual]:
        """Its part of `count` children; none while the search, of which `fit` is, improves."""
        if len(self.networks.judge.objectives) > 1:
            return []  # a front is no single place to be stuck at
        self._begun = self._begun or self.networks.lineage.since(self._best(fit)) >= PATIENCE
        wanted = int(count * SHARE + random.random()) if self._begun else 0
        children = self._chosen(wanted) if wanted else []
        self._asked |= {self.networks.identify(child)[0]: None for child in children}
        return children

    def _chosen(self, count: int) -> list[Individual]:
        known = len(self._own())
        if known >= self._learner.fewest:
            fit = self._learner.newest(known)
            own = list(self._asked)
            if len(own) - own.index(self._best(fit)) < PATIENCE_ANEW:
                return self._guided(fit, count)
            self._begin()
        pool = self._candidates.strangers(STRANGERS * count)
        return [pool[place] for place in self._new(pool)[:count]]

    def _guided(self, fit: Fit, count: int) -> list[Individual]:
        pool = self._candidates.neighbours(fit, NEIGHBOURS * count)
        pool += self._candidates.strangers(STRANGERS * count)
        means, deviations = self._learner.believed(fit, pool)
        best = self._candidates.best(fit, means, deviations, self._new(pool))
        return [pool[place] for place in best[:count]]

    def _new(self, pool: Sequence[Individual]) -> list[int]:
        """The places of networks that are not known; all, if there are none."""
        new, old = self._candidates.new(pool, range(len(pool)))
        return new or old

    def _best(self, fit: Fit) -> str:
        """The key of the network that is believed to be the best."""
        key, _ = self.networks.identify(fit.among[int(numpy.argmin(fit.beside[:, 0]))])
        return key

    def _own(self) -> list[Record]:
        known = self.networks.records
        found = [known[key] for key in self._asked if key in known]
        return sorted(found, key=lambda record: record.genome)
