"""The search: one generation a call of the algorithm, until a stop rule holds."""

import gc
import logging
import random
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean, median
from typing import Any

import moocore
import numpy

from toolbox.archive import Record
from toolbox.declaration import Declaration
from toolbox.evaluation import evaluate_invalid
from toolbox.finals import Standing, corrected, correction, most_seeds, standings
from toolbox.guarded_toolbox import GuardedToolbox
from toolbox.networks import BudgetSpent, Networks
from toolbox.objectives.objective import Objective
from toolbox.stopped import NothingMeasured

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Generation:
    """What one generation did, and the population after it.

    evaluated = trained + reused + infeasible individuals; reused ones were known to the archive or
    stood twice in the generation; infeasible ones were refused by a rule or a bound; failed ones
    are the trained or reused ones that ended without a measurement.  best and median: of each
    objective over the population.  hypervolume: of everything this search evaluated, above the
    worst of the first generation; None for one objective.  seconds: of searching since its start,
    over all sessions, without the finals.  epochs: that were trained for what this search evaluated
    so far, whenever that was; 0 if the problem does not tell.  stopped: why the search ended here.
    finals: how the best networks stand after their further trainings; only when it has ended.
    """

    number: int
    population: list[Any] = field(repr=False)
    evaluated: int
    trained: int
    reused: int
    infeasible: int
    failed: int
    best: tuple[float, ...]
    median: tuple[float, ...]
    hypervolume: float | None
    seconds: float
    epochs: float = 0.0
    stopped: str = ""
    finals: tuple[Standing, ...] = ()

    def means(self, objectives: Sequence[Objective]) -> dict[str, float]:
        """`mean_<name>` of each objective over the population."""
        columns = zip(*(one.fitness.values for one in self.population), strict=True)
        names = [f"mean_{objective.name}" for objective in objectives]
        return {name: fmean(column) for name, column in zip(names, columns, strict=True)}


def search(declaration: Declaration, toolbox: GuardedToolbox) -> Iterator[Generation]:
    """Run a declared search with an assembled toolbox; yields each generation when it is done.

    Everything random is seeded here by the declaration's seed, so a second search with the same
    archive takes the same steps and is served what the first one measured.  Raises NothingMeasured
    after a generation in which all that was ever evaluated failed.
    """
    gc.freeze()  # torch and the archive are large, and Python looks for garbage in them ever again
    try:
        yield from _generations(declaration, toolbox)
    finally:
        gc.unfreeze()


def _generations(declaration: Declaration, toolbox: GuardedToolbox) -> Iterator[Generation]:
    random.seed(declaration.seed)
    numpy.random.seed(declaration.seed % 2**32)  # for operators of the user's own that draw from it
    history = History(declaration, toolbox.evaluator.networks)
    population: list[Any] = []
    for number in range(declaration.generations + 1):
        toolbox.begin(number)
        try:
            if number == 0:
                following = toolbox.population(n=declaration.population)
                evaluate_invalid(following, toolbox)
            else:
                following = toolbox.evolve(population, toolbox)
            population = following
            stopped = ""
        except BudgetSpent:
            # The first population may be cut short; a later one stays as it was.
            population = population or _known(following, toolbox)
            stopped = history.spent()
        toolbox.end(population)
        networks = toolbox.evaluator.networks
        births = networks.lineage.generation(number, population)
        networks.archive.keep_births(number, births)
        generation = history.generation(number, population, stopped)
        _check_measured(networks.records.values(), ended=bool(generation.stopped))
        if generation.trained:
            # Of a search with this archive that ended before.
            networks.archive.keep_finals([])
            networks.archive.keep_beliefs({})
        if generation.stopped:
            generation = replace(
                generation, finals=_finals(declaration, toolbox), epochs=networks.epochs
            )
        yield generation
        if generation.stopped:
            return


def _finals(declaration: Declaration, toolbox: GuardedToolbox) -> tuple[Standing, ...]:
    """How the best networks stand after the declared finals, which are held here.

    What the guide believes in the end, of these and all others, is kept with them.
    """
    finals, networks = declaration.finals, toolbox.evaluator.networks
    beliefs = toolbox.beliefs()
    if finals is None:
        networks.archive.keep_finals([])
        networks.archive.keep_beliefs(beliefs)
        return ()
    whole = [
        replace(record, belief=beliefs.get(key))
        for key, record in networks.records.items()
        if record.key == key
    ]
    candidates = finals.candidates(networks.judge, whole)
    log.info("finals: %s", finals.said())
    most = most_seeds(networks.problem)
    finalists = finals.played(networks.judge, candidates, most, toolbox.again)
    networks.archive.keep_finals(finalists)
    correct = correction(networks.judge, finalists)
    networks.archive.keep_beliefs({key: correct(belief) for key, belief in beliefs.items()})
    return tuple(standings(networks.judge, corrected(networks.judge, finalists)))


def _check_measured(records: Collection[Record], ended: bool) -> None:
    """Raise NothingMeasured if every network failed, or if a search has ended and every one failed
    or was refused."""
    if not records or any(record.status == "ok" for record in records):
        return
    failed = [record for record in records if record.failed]
    if not ended and len(failed) < len(records):
        return  # what is beyond the bounds may lead to what is within them
    (message, times), *_ = Counter(record.message for record in failed or records).most_common(1)
    how = "failed" if failed else "were refused"
    retry = "; mend the cause and try them again with --retry-failed" if failed else ""
    raise NothingMeasured(
        f"no network was measured: {len(failed or records)} of {len(records)} {how}, "
        f"{times} of them with: {message}{retry}"
    )


def _known(population: list[Any], toolbox: GuardedToolbox) -> list[Any]:
    """The individuals whose networks were evaluated, with their fitness."""
    networks = toolbox.evaluator.networks
    known = []
    for individual in population:
        key, _ = networks.identify(individual)
        if key in networks.records:
            individual.fitness.values = networks.judge.fitness(networks.records[key])
            known.append(individual)
    return known


@dataclass
class History:
    """What is remembered from generation to generation: progress, and the time it took."""

    declaration: Declaration
    networks: Networks
    front: numpy.ndarray | None = None  # of what was evaluated, as losses (minimized)
    reference: numpy.ndarray | None = None
    stale: int = 0
    seconds: list[float] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def generation(self, number: int, population: list[Any], stopped: str) -> Generation:
        """Sum up a generation and decide whether the search stops."""
        objectives = self.declaration.objectives
        counts = self.networks.take_counts()
        seconds = self._clock(number, counts["trained"])
        self._update_front()
        values = list(zip(*(i.fitness.values for i in population), strict=True))
        return Generation(
            number,
            population,
            evaluated=counts["evaluated"],
            trained=counts["trained"],
            reused=counts["reused"],
            infeasible=counts["infeasible"],
            failed=counts["failed"],
            best=tuple(_best(o, column) for o, column in zip(objectives, values, strict=True)),
            median=tuple(median(column) for column in values),
            hypervolume=self._hypervolume(),
            seconds=seconds,
            epochs=self.networks.epochs,
            stopped=stopped or self._rule(number, seconds),
        )

    def spent(self) -> str:
        """That there is no budget left."""
        return f"{self.networks.limit:,} networks were evaluated"

    def _clock(self, number: int, trained: int) -> float:
        """Seconds searched until now.

        A generation that trained nothing is a replay: it counts what it took when it was trained,
        so that a rule on time stops a continued search where it stopped the first time.
        """
        archive = self.networks.archive
        recorded = archive.noted("generation_seconds", [])
        now = time.monotonic()
        before = self.seconds[-1] if self.seconds else 0.0
        if not trained and number < len(recorded):
            self.seconds.append(recorded[number])
        else:
            self.seconds.append(before + now - self.began)
            archive.note("generation_seconds", self.seconds)
        self.began = now
        return self.seconds[-1]

    def _update_front(self) -> None:
        judge = self.networks.judge
        records = self.networks.take_new()
        losses = judge.losses([record for record in records if judge.feasible(record)])
        if self.reference is None and len(losses):
            self.reference = losses.max(axis=0)
        old = self.front if self.front is not None else losses[:0]
        front = numpy.vstack([old, losses])
        if len(front):
            front = numpy.unique(front[moocore.is_nondominated(front)], axis=0)
        self.front = front
        self.stale = self.stale + 1 if numpy.array_equal(self.front, old) else 0

    def _hypervolume(self) -> float | None:
        if len(self.declaration.objectives) == 1 or self.reference is None:
            return None
        return float(moocore.hypervolume(self.front, ref=self.reference))

    def _rule(self, number: int, seconds: float) -> str:
        """Why the search ends after this generation; empty if it goes on."""
        stop = self.declaration.stop
        if number == self.declaration.generations:
            return f"{number} generations were evolved"
        if self.networks.left == 0:
            return self.spent()
        if stop.wall_seconds is not None and seconds >= stop.wall_seconds:
            return f"{stop.wall_seconds:g} seconds have passed"
        if stop.stale_generations is not None and self.stale >= stop.stale_generations:
            return f"nothing better was found in {self.stale} generations"
        if (target := stop.target()) is not None and self.front is not None:
            weights = numpy.array([o.weight for o in self.declaration.objectives])
            reached = (self.front <= -numpy.array(target) * weights).all(axis=1)
            if reached.any():
                return "the target fitness was reached"
        return ""


def _best(objective: Objective, values: tuple[float, ...]) -> float:
    return max(values) if objective.direction == "maximize" else min(values)
