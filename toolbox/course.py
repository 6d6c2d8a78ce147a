"""How a search would go: its own steps, with made-up measurements and a clock of their own.

Counting by a formula how many networks an algorithm trains would know nothing of duplicates, of
halving, of who waits for whom, or of an algorithm of the user's.  So the search itself is run, over
a copy of its archive: what is known there is served, and what is not gets a made-up measurement
after the seconds that its training is expected to take.
"""

import bisect
import heapq
import itertools
import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from toolbox.archive import Archive, Record
from toolbox.assemble import assemble
from toolbox.backends import BACKENDS
from toolbox.backends.backend import Measuring
from toolbox.declaration import Declaration, Stop
from toolbox.evaluation import unmoved_generators
from toolbox.measure import Job, Outcome
from toolbox.problem import Problem
from toolbox.quantities import quantities_with
from toolbox.search import search
from toolbox.signature import choose

Seconds = Callable[[list[int], float | None], float]  # of an evaluation, for so many epochs
LIKELY = 0.3  # how much of a made-up score is the size of the network; the rest are its genes


@dataclass(frozen=True)
class Course:
    """What a search is expected to do from now on.

    networks: distinct ones that it asks for in all.  served: records that its archive has.
    evaluations: that it does not have, the further trainings of the finals among them; epochs:
    trained in them.  reused: individuals whose network was known.  seconds: of searching.
    curve: how many networks are known after how many seconds, ascending in both.  complete: whether
    the search was followed to its end; if not, the rest is in proportion.  stopped: why it ends.
    """

    networks: int
    served: int
    evaluations: int
    epochs: float
    reused: int
    seconds: float
    curve: tuple[tuple[int, float], ...] = ()
    complete: bool = True
    stopped: str = ""

    def followed_by(self, other: "Course") -> "Course":
        """Two searches, one after the other."""
        curve = [(self.networks + done, self.seconds + after) for done, after in other.curve]
        return Course(
            self.networks + other.networks,
            self.served + other.served,
            self.evaluations + other.evaluations,
            self.epochs + other.epochs,
            self.reused + other.reused,
            self.seconds + other.seconds,
            (*self.curve, *curve),
            self.complete and other.complete,
            other.stopped,
        )


class _OutOfTime(Exception):
    """The search cannot be followed any further."""


@dataclass
class _Clock:
    """A map over `slots` workers that do nothing; `now` tells when they would have done it.

    answer_seconds: what the leading process takes for each outcome.
    """

    slots: int
    seconds: Seconds
    answer_seconds: float
    deadline: float
    now: float = 0.0
    evaluations: int = 0
    epochs: float = 0.0
    _behind: dict[str, float] = field(default_factory=dict)  # epochs, by the key of the network

    def room(self, function: Measuring) -> int:
        return self.slots

    def __call__(self, function: Measuring, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        numbers, source = itertools.count(), iter(jobs)
        flying: list[tuple[float, int, Outcome]] = []
        exhausted = False
        while True:
            while len(flying) < self.slots and not exhausted:
                try:
                    job = next(source)
                except StopIteration:
                    exhausted = True
                    break
                if job is None:
                    break
                if time.process_time() > self.deadline:
                    raise _OutOfTime
                outcome = function(job)
                takes = self._takes(job, outcome)
                heapq.heappush(flying, (self.now + takes, next(numbers), outcome))
            if not flying:
                return
            ended, _, outcome = heapq.heappop(flying)
            self.now = max(self.now, ended) + self.answer_seconds
            yield outcome

    def _takes(self, job: Job, outcome: Outcome) -> float:
        if outcome.status == "infeasible":
            return 0.0
        asked = job.options.get("epochs")
        trained = None
        if asked is not None:
            key = job.options["key"]
            trained = asked - self._behind.get(key, 0.0)
            self._behind[key] = asked
        self.evaluations += 1
        self.epochs += outcome.measurement.get("trained_epochs", 0.0) if asked else 0.0
        self.epochs += 0.0 if asked else outcome.measurement.get("epochs", 0.0)
        return self.seconds(job.genome, trained)


class _Imagined:
    """A problem whose evaluations make up their measurement; all else is as it is.

    samples: measurements of some of its networks, if there are any; made-up values lie among them.
    """

    evaluate_many = None
    at_once = 1

    def __init__(
        self,
        problem: Problem,
        declaration: Declaration,
        seconds: Seconds,
        samples: Sequence[Mapping[str, float]],
    ):
        self._problem = problem
        self._seconds = seconds
        self._limits = declaration.bounds.measured.limits
        needs = [name for objective in declaration.objectives for name in objective.needs]
        names = problem.measures or [*(samples[0] if samples else ()), *needs, *self._limits]
        self._names = tuple(dict.fromkeys(names))
        self._range = {
            name: (min(values), max(values))
            for name in self._names
            if (values := [sample[name] for sample in samples if name in sample])
        }
        self._quantities = quantities_with(problem.quantities)
        draw, genes = random.Random(0), problem.space.genes
        self._effects = [[draw.gauss(0, 1) for _ in gene.choices] for gene in genes]
        drawn = ([draw.randrange(len(gene.choices)) for gene in genes] for _ in range(50))
        self._costs = sorted(problem.cost(g) for g in drawn if not problem.space.violation(g))
        self._behind: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name == "_problem":
            raise AttributeError(name)
        return getattr(self._problem, name)

    def forget(self, key: str) -> None:
        """Nothing is kept of a network that was not trained."""

    def preview(self, genome: list[int]) -> dict[str, float]:
        return self._problem.known(genome)

    def evaluate(
        self, genome: list[int], epochs: int | None = None, key: str = "", **told: Any
    ) -> dict[str, float]:
        known, score = self._problem.known(genome), self._score(genome)
        made: dict[str, float] = {}
        for name in self._names:
            made[name] = known[name] if name in known else self._value(name, genome, score)
        if (whole := self._problem.epochs) is not None:
            made["epochs"] = epochs or whole
            if epochs is not None:
                made["trained_epochs"] = epochs - self._behind.get(key, 0)
                self._behind[key] = epochs
        return made

    def _score(self, genome: list[int]) -> float:
        """How good a network is made out to be, in (0, 1): larger ones more so."""
        genes = sum(e[choice] for e, choice in zip(self._effects, genome, strict=True))
        luck = 0.5 + 0.5 * math.erf(genes / math.sqrt(2 * max(1, len(genome))))
        if not self._costs or self._costs[0] == self._costs[-1]:
            return 0.01 + 0.98 * luck
        place = bisect.bisect(self._costs, self._problem.cost(genome)) / len(self._costs)
        return 0.01 + 0.98 * (LIKELY * place + (1 - LIKELY) * luck)

    def _value(self, name: str, genome: list[int], score: float) -> float:
        quantity = self._quantities.get(name)
        good = 1 - score if quantity and quantity.direction == "minimize" else score
        if name == "train_seconds":
            return self._seconds(genome, None)
        if name in self._range:
            low, high = self._range[name]
            return low + (high - low) * good
        return good * self._limits.get(name, 1.0)


def course(
    declaration: Declaration,
    problem: Problem,
    archive: Archive,
    seconds: Seconds,
    slots: int,
    *,
    answer_seconds: float = 0.0,
    samples: Sequence[Mapping[str, float]] = (),
    limit_seconds: float = math.inf,
) -> Course:
    """The course of a search that goes on with what is in an archive, which is not changed.

    seconds: what an evaluation takes.  slots: evaluations in hand at once.  limit_seconds: of
    processor time for finding it out; what is left then is in proportion.  Rules that end a search
    by what was measured are left out.  Raises ValueError if there was no time for any evaluation.
    """
    begun = time.process_time()
    clock = _Clock(slots, seconds, answer_seconds, begun + limit_seconds)
    imagined = _Imagined(problem, declaration, seconds, samples)
    # A stop by the clock is decided below, by the clock of this module.
    stop = Stop(evaluations=declaration.stop.evaluations)
    followed = replace(served_serially(declaration), stop=stop)
    known: dict[str, None] = {}
    curve: list[tuple[int, float]] = [(0, 0.0)]
    again = reused = served = 0

    def on_record(record: Record) -> None:
        nonlocal again, served
        known.setdefault(record.architecture)
        served += archive.get(record.key) is not None
        again += bool(record.seed)
        curve.append((len(known) + again, clock.now))

    def found(stopped: str) -> Course:
        return Course(
            len(known),
            served,
            clock.evaluations,
            clock.epochs,
            reused,
            clock.now,
            curve=tuple(curve),
            stopped=stopped,
        )

    stopped, searched, before = "", 0.0, 0.0
    earlier, wall = archive.noted("generation_seconds", []), declaration.stop.wall_seconds
    with unmoved_generators(), _silent():
        toolbox = assemble(followed, imagined, _copy(archive), on_record=on_record)
        toolbox.register("map", clock)
        led = time.process_time()
        try:
            for generation in search(followed, toolbox):
                clock.now += time.process_time() - led
                led = time.process_time()
                if not generation.trained and generation.number < len(earlier):
                    searched = earlier[generation.number]  # a replay counts what it took
                else:
                    searched += clock.now - before
                before = clock.now
                reused += generation.reused
                stopped = generation.stopped
                if wall is not None and searched >= wall and not stopped:
                    return _with_finals(found(f"{wall:g} seconds have passed"), declaration, slots)
                if led > clock.deadline:
                    raise _OutOfTime
        except _OutOfTime:
            if not clock.evaluations:
                raise ValueError("no evaluation of it could be followed in the time") from None
            return _in_proportion(found(""), declaration)
        finally:
            toolbox.close()
    return found(stopped)


def served_serially(declaration: Declaration) -> Declaration:
    """The same declaration, whose toolbox starts no process."""
    serial = choose("serial", BACKENDS, "toolbox.map")
    return replace(declaration, toolbox={**declaration.toolbox, "map": serial})


def at_most(declaration: Declaration, known: int, seconds: float, slots: int) -> Course:
    """The course by arithmetic alone: as many networks as there can be, of so many seconds each.

    known: how many of them the archive has.
    """
    most = declaration.most_evaluations
    evaluations = max(0, most - known)
    took = evaluations * seconds / slots
    curve = ((most - evaluations, 0.0), (most, took))
    return Course(most, known, evaluations, 0.0, 0, took, curve, complete=False)


def _in_proportion(found: Course, declaration: Declaration) -> Course:
    """A course that was not followed to its end, as if it went on so."""
    factor = declaration.most_evaluations / max(1, found.networks + found.reused)
    if factor <= 1:
        return replace(found, complete=False)
    networks, seconds = round(found.networks * factor), found.seconds * factor
    return replace(
        found,
        networks=networks,
        evaluations=round(found.evaluations * factor),
        epochs=found.epochs * factor,
        reused=round(found.reused * factor),
        seconds=seconds,
        curve=(*found.curve, (networks, seconds)),
        complete=False,
    )


def _with_finals(found: Course, declaration: Declaration, slots: int) -> Course:
    """A course that the clock ended, with the finals that are held all the same."""
    again = declaration.finals.evaluations if declaration.finals else 0
    if not again or not found.evaluations:
        return found
    share = again / found.evaluations
    seconds = found.seconds * (1 + share)
    return replace(
        found,
        evaluations=found.evaluations + again,
        epochs=found.epochs * (1 + share),
        seconds=seconds,
        curve=(*found.curve, (found.curve[-1][0] + again, seconds)),
    )


def _copy(archive: Archive) -> Archive:
    """What an archive holds, in memory, to be added to."""
    copy = Archive(archive.problem)
    for record in archive:
        copy.add(record)
    if (in_flight := archive.noted("in_flight")) is not None:
        copy.note("in_flight", in_flight)
    return copy


@contextmanager
def _silent() -> Iterator[None]:
    """Keep to ourselves what a search says of networks that nobody trains."""
    logger = logging.getLogger("toolbox")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
