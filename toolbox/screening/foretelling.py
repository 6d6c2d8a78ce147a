"""What the networks of another search foretell of this one's, and whether that comes true.

The results here are a line of what is foretold and a rest, which is learned from this search alone
(Kennedy & O'Hagan, 2000).  The guide asks for each foretelling how probable the results are by it.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy

from toolbox.fronts import best_first
from toolbox.networks import Networks
from toolbox.screening.encoding import Encoding, trained_for, untrained
from toolbox.screening.rankers import (
    FEWEST,
    RANKERS,
    SURE,
    Ranker,
    Units,
    fitting,
    gain,
    kept,
    log_density,
    normal_scores,
)
from toolbox.sources import NAMED, VERDICTS, Source, changes_but_seed

log = logging.getLogger(__name__)
FEWEST_TO_JUDGE = 6  # networks of this search, by which it is judged whether a source helps
BEGIN = 0.5  # of the first population is drawn from the best of sources


class Foretelling:
    """What the networks of a source foretell, learned as a guide learns.

    key: that names it in an error.  source: checked against this search, at most as many of its
    networks as rankers learn from.  verdict: what became of it in this search, in words.  Raises
    ValueError, one line, for a source of another space, without what an objective needs, or with
    too few networks.
    """

    def __init__(self, key: str, source: Source, identity: Mapping[str, Any], networks: Networks):
        self._networks = networks
        self.judge = networks.judge
        try:
            here = source.of_this_space(networks, identity)
            own = here.known(networks)
        except ValueError as error:
            raise ValueError(f"{key} = {source.name!r}: {error}") from None
        self.left_out = len(source.networks) - len(own.networks)
        if len(own.networks) < FEWEST:
            raise ValueError(
                f"{key} = {source.name!r}: {len(own.networks)} of its networks were measured and "
                f"are networks of this search; at least {FEWEST} are needed to learn from"
            )
        losses = self.judge.losses(own.records())
        rows = kept(losses)
        self.name = source.name
        self.source = replace(here, networks=[here.networks[row] for row in rows])
        self._changed = changes_but_seed(source.problem, identity)
        self._genomes = [own.networks[row][0] for row in rows]
        self._losses = losses[rows]
        self._encoding = Encoding(networks)
        self.verdict = ""

    @cached_property
    def _learned(self) -> tuple[Units, dict[int, Ranker]]:
        """The ranker of each objective whose results are more than chance."""
        encoded = self._encoding.of(self._genomes)
        units = Units.of(encoded)
        chosen: dict[int, Ranker] = {}
        with fitting():
            for column in trained_for(self._networks, self._genomes[0]):
                targets = normal_scores(self._losses[:, column])
                rankers = [new() for new in RANKERS.values()]
                said = [log_density(targets, *one.fit(units(encoded), targets)) for one in rankers]
                if gain(targets, max(said)) >= SURE:
                    chosen[column] = rankers[int(numpy.argmax(said))]
        return units, chosen

    @property
    def columns(self) -> frozenset[int]:
        """The places of the objectives that something is foretold of; none if what was found there
        looks like chance."""
        return frozenset(self._learned[1])

    def of(
        self, genomes: Sequence[Sequence[int]], column: int
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The mean and the standard deviation of what is foretold of canonical genomes, (networks,)
        each, in the normal scores of the source; smaller is better."""
        units, rankers = self._learned
        return rankers[column].predict(units(self._encoding.of(genomes)))

    @cached_property
    def best(self) -> list[list[int]]:
        """The source's networks that are within the bounds here, the best by what is foretold of
        them first; none if nothing is foretold."""
        if not self.columns:
            return []
        genomes = [list(one) for one in dict.fromkeys(map(tuple, self._genomes))]
        genomes = [one for one in genomes if not self._networks.known_violation(one)]
        losses = numpy.zeros((len(genomes), len(self.judge.objectives)))
        for column, known in untrained(self._networks, genomes).items():
            losses[:, column] = known
        with fitting():
            for column in self.columns:
                losses[:, column], _ = self.of(genomes, column)
        return [genomes[place] for place in best_first(losses)]

    def said(self) -> str:
        """What is learned from, in words."""
        out = f", {self.left_out} more are no networks here" if self.left_out else ""
        more = ", ..." if len(self._changed) > NAMED else ""
        changed = f" ({', '.join(self._changed[:NAMED])}{more})" if self._changed else ""
        return f"{self.name}: {len(self._genomes)} networks{out}{changed}"

    def judged(self, verdict: str) -> None:
        """Say and keep, once, what became of it."""
        if verdict == self.verdict:
            return
        self.verdict = verdict
        log.info("learn_from: %s: %s", self.name, VERDICTS[verdict])


@dataclass
class Beginning:
    """The genomes of the first population that come from sources: its last ones, in turns.

    population: how many individuals the first one has.  given: how many of them are declared.
    """

    foretellings: Sequence[Foretelling]
    population: int
    given: int = 0

    @cached_property
    def genomes(self) -> dict[int, list[int]]:
        """By their place in the first population; each network once."""
        most = min(int(BEGIN * self.population), self.population - self.given)
        best = [one.best for one in self.foretellings]
        turns = [tuple(of[turn]) for turn in range(most) for of in best if turn < len(of)]
        chosen = list(dict.fromkeys(turns))[:most]
        places = range(self.population - len(chosen), self.population)
        return {place: list(genome) for place, genome in zip(places, chosen, strict=True)}


@dataclass(frozen=True)
class Line:
    """What is expected by a foretelling alone: `slope` times what is foretold, less its mean.

    unseen: (networks,) of those that it was fitted on what the line through all others says.
    deviation: of results around it.
    """

    foretelling: Foretelling
    slope: float
    center: float
    unseen: numpy.ndarray = field(repr=False)
    deviation: float

    @classmethod
    def through(
        cls, foretelling: Foretelling, foretold: numpy.ndarray, targets: numpy.ndarray
    ) -> "Line | None":
        """The line of least squares through what was foretold and targets of mean 0, (networks,)
        each; None if it does not rise."""
        center = float(foretold.mean())
        apart = foretold - center
        squares = float(apart @ apart)
        slope = float(apart @ targets) / squares if squares > 1e-9 else 0.0
        if slope <= 0:
            return None
        leverage = 1 / len(targets) + apart**2 / squares
        left_out = (targets - slope * apart) / numpy.maximum(1 - leverage, 1e-9)
        deviation = max(float((left_out**2).mean()) ** 0.5, 1e-9)
        return cls(foretelling, slope, center, targets - left_out, deviation)

    def of(self, foretold: numpy.ndarray) -> numpy.ndarray:
        return self.slope * (foretold - self.center)
