"""What a guide learns of a search: the best of several rankers, and what it believes of genomes."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy
from threadpoolctl import threadpool_limits

from toolbox.archive import Record
from toolbox.networks import Networks
from toolbox.screening.encoding import Encoded, Encoding, trained_for, untrained
from toolbox.screening.foretelling import FEWEST_TO_JUDGE, Foretelling, Line
from toolbox.screening.gaussian_process import GaussianProcess
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

log = logging.getLogger(__name__)

GROWTH = 1.1  # it is fitted again when so many times more networks are known
AT_ONCE = 4096  # networks that are predicted together


@dataclass
class Fit:
    """The rankers of one moment.

    units: of the numbers.  networks: how many were known.  among: the canonical genomes that it was
    fitted on.  lines: of each predicted objective that a source foretells.  chosen: of each
    predicted objective, for the rest; none where the line is all.  unseen: what was expected of the
    genomes by fits that had not seen them, means and standard deviations, in normal scores.  noise:
    of a single training, in the same.  gain: the log of how much more probable the results are by
    it than without it, of the objective of which it is least.  beside: what it believes of the
    genomes.
    """

    units: Units
    networks: int
    among: list[list[int]]
    lines: dict[int, Line] = field(default_factory=dict)
    chosen: dict[int, Ranker] = field(default_factory=dict)
    unseen: dict[int, tuple[numpy.ndarray, numpy.ndarray]] = field(default_factory=dict)
    noise: dict[int, float] = field(default_factory=dict)
    gain: float = SURE
    beside: numpy.ndarray = field(init=False)

    @property
    def helps(self) -> bool:
        """Whether it tells good from bad among networks that it has not seen."""
        return self.gain >= SURE


class Learner:
    """Learns from networks, and again when there are a tenth more of them.

    records: the networks that it learns from, whenever it is asked, in an order that does not tell
    which was first: a search that is continued must fit the same rankers.  losses: of records,
    (networks, objectives).  sources: what other searches found.
    """

    def __init__(
        self,
        networks: Networks,
        records: Callable[[], Sequence[Record]],
        losses: Callable[[Sequence[Record]], numpy.ndarray],
        sources: Sequence[Foretelling] = (),
    ):
        self.networks, self.judge = networks, networks.judge
        self.records, self.losses = records, losses
        self._encoding = Encoding(networks)
        self._sources = sources
        self._rankers: dict[tuple[int, str, str], Ranker] = {}
        self._fit: Fit | None = None

    @property
    def fewest(self) -> int:
        """Networks that it learns from at least."""
        return FEWEST_TO_JUDGE if any(one.columns for one in self._sources) else FEWEST

    def newest(self, known: int) -> Fit:
        """What was learned when there were about as many networks as are `known` now."""
        if self._fit is None or known >= GROWTH * self._fit.networks:
            self._fit = self.refitted()
        return self._fit

    def refitted(self) -> Fit:
        """Every ranker fitted anew, and the best chosen."""
        records = self.records()
        losses = self.losses(records)
        rows = kept(losses)
        genomes = [records[row].genome for row in rows]
        encoded = self._encoding.of(genomes)
        fit = Fit(Units.of(encoded), len(records), genomes)
        encoded = fit.units(encoded)
        with fitting():
            gains = [
                self._choose(fit, column, encoded, normal_scores(losses[rows, column]))
                for column in self._predicted
            ]
            fit.gain = min(gains, default=SURE)
            fit.beside, _ = self.believed(fit, genomes)
        self._judge_sources(fit)
        return fit

    def _choose(self, fit: Fit, column: int, encoded: Encoded, targets: numpy.ndarray) -> float:
        """Choose the line and the ranker of an objective; the log of how much more probable the
        results are by them than without."""
        found, noises = {}, {}
        lines = self._lines(fit, column, targets)
        for source, line in lines.items():
            told = line.of(line.foretelling.of(fit.among, column)[0]) if line else 0 * targets
            if line:
                found[source, ""] = line.unseen, numpy.full(len(targets), line.deviation)
            for name, new in RANKERS.items() if len(targets) >= FEWEST else ():
                ranker = self._rankers.setdefault((column, source, name), new())
                means, deviations = ranker.fit(encoded, targets - told)
                found[source, name] = means + told, deviations
                if isinstance(ranker, GaussianProcess):  # trees tell no noise
                    noises[source, name] = ranker.noise_deviation
        if not found:
            return 0.0
        said = {which: log_density(targets, *found[which]) for which in found}
        best = max(said, key=said.__getitem__)
        source, name = best
        if line := lines[source]:
            fit.lines[column] = line
        if name:
            fit.chosen[column] = self._rankers[column, source, name]
        fit.unseen[column] = found[best]
        if noises:
            fit.noise[column] = noises[max(noises, key=said.__getitem__)]
        log.debug("after %d networks %s ranks by %r: %s", fit.networks, column, best, said)
        return gain(targets, said[best])

    def _lines(self, fit: Fit, column: int, targets: numpy.ndarray) -> dict[str, Line | None]:
        """What an objective may be told by, by the name of the source; "" is none."""
        lines: dict[str, Line | None] = {"": None}
        for one in self._sources:
            if column in one.columns:
                foretold, _ = one.of(fit.among, column)
                if line := Line.through(one, foretold, targets):
                    lines[one.name] = line
        return lines

    def _judge_sources(self, fit: Fit) -> None:
        """Say what became of each source."""
        used = {line.foretelling.name for line in fit.lines.values()} if fit.helps else set()
        for one in self._sources:
            if not one.columns:
                one.judged("chance")
            elif one.name in used:
                one.judged("carries over")
            elif one.verdict == "carries over":
                one.judged("outgrown")
            elif fit.networks >= FEWEST and one.verdict != "outgrown":
                one.judged("does not carry over")

    @cached_property
    def _predicted(self) -> list[int]:
        """The places of the objectives that are not known without training."""
        return trained_for(self.networks, self.records()[0].genome)

    def believed(
        self, fit: Fit, genomes: Sequence[Sequence[int]]
    ) -> tuple[numpy.ndarray, numpy.ndarray]:
        """The mean and the standard deviation of what is believed of genomes, (networks,
        objectives) each, smaller is better."""
        canonical = [self.networks.identify(list(genome))[1] for genome in genomes]
        means = numpy.zeros((len(canonical), len(self.judge.objectives)))
        deviations = numpy.zeros_like(means)
        for column, known in untrained(self.networks, canonical).items():
            means[:, column] = known
        with threadpool_limits(1):  # the cores are the trainings'; threads change the digits
            for start in range(0, len(canonical), AT_ONCE):
                rows = slice(start, start + AT_ONCE)
                encoded = fit.units(self._encoding.of(canonical[rows]))
                for column, ranker in fit.chosen.items():
                    means[rows, column], deviations[rows, column] = ranker.predict(encoded)
                for column, line in fit.lines.items():
                    foretold, deviation = line.foretelling.of(canonical[rows], column)
                    means[rows, column] += line.of(foretold)
                    deviations[rows, column] = numpy.hypot(
                        deviations[rows, column], line.slope * deviation
                    )
        return means, deviations
