"""Individuals in, fitness out: the archive in front of the backend, behind `toolbox.map`."""

import random
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy
from deap import base

from toolbox.archive import Archive, Record
from toolbox.bounds import Bounds
from toolbox.halving import Halving, epochs_for
from toolbox.individual import Individual
from toolbox.lineage import Lineage
from toolbox.measure import Job, Measure, Outcome, Problem, one_line
from toolbox.objectives.objective import Objective
from toolbox.operator_error import OperatorError

REMEMBERED = 100_000  # genomes whose keys are at hand
FAILED = ("error", "timeout", "crash")
# Jobs in any number; those of a stream come one by one, and None for none right now.
Backend = Callable[[Callable[[Job], Outcome], Any], Iterable[Outcome]]


class BudgetSpent(Exception):
    """The declared number of distinct networks has been evaluated."""


class Evaluator:
    """Measures each distinct network once and reads the fitness off its measurement.

    on_record: called with each record that this evaluator was asked for, as soon as it is known.
    limit: how many distinct networks may be asked for; BudgetSpent is raised before one more.
    retry_failed: measure again what failed in an earlier run.
    halving: new networks are trained in steps, and only the best go on.
    epochs: all that were trained for what this evaluator was asked for, whenever that was.
    counts: of the individuals asked for, how many were trained, reused, infeasible and failed
    (failed overlaps the others); whoever reads them resets them.
    lineage: the origin of every individual asked for.
    """

    def __init__(
        self,
        problem: Problem,
        objectives: Sequence[Objective],
        archive: Archive,
        bounds: Bounds | None = None,
    ):
        self.space = problem.space
        self.objectives = objectives
        self.archive = archive
        self.bounds = bounds or Bounds()
        self.use(problem)
        self._needed = {name for objective in objectives for name in objective.needs}
        self.limit: int | None = None
        self.retry_failed = False
        self.halving: Halving | None = None
        self.epochs = 0.0
        self.counts: Counter[str] = Counter()
        self.on_record: Callable[[Record], None] = lambda record: None
        self.asked: dict[str, Record] = {}  # by the network's key, as they became known
        self.awaited: Container[str] = ()  # keys of networks on their way in a stream
        self.lineage = Lineage()
        # Asked for when a child is bred, and again when it is evaluated.
        self._identity_of = lru_cache(maxsize=REMEMBERED)(self._identity)

    def use(self, problem: Problem) -> None:
        """Evaluate with another form of the same problem, such as one that is ready now."""
        self.problem = problem
        self.measure = Measure(problem, self.bounds)

    def evaluate(self, individual: Individual) -> tuple[float, ...]:
        """The fitness values of one individual."""
        (values,) = self.map(map, self.evaluate, [individual])
        return values

    def map(
        self, backend: Backend, function: Callable, individuals: Iterable[Individual], *more: Any
    ) -> list[Any]:
        """`function` of each individual, in order.

        For `toolbox.evaluate` the backend trains what the archive does not know.  Any other
        function is the user's own and is simply applied.
        """
        individuals = list(individuals)
        if not self.is_asked_by(function):
            return list(map(function, individuals, *more))
        records = self.records(backend, individuals)
        return [
            self.answer(function, individual, record)
            for individual, record in zip(individuals, records, strict=True)
        ]

    def answer(self, function: Callable, individual: Individual, record: Record) -> Any:
        """What `function`, which `is_asked_by`, says of an individual whose record is known."""
        if _unwrapped(function) == self.evaluate:
            return self.fitness(record)
        return function(individual)  # a decorated one, which is served from here now

    def is_asked_by(self, function: Callable) -> bool:
        """Whether `function` is `evaluate`, or what `toolbox.decorate` made of it."""
        return _undecorated(_unwrapped(function)) == self.evaluate

    def fitness(self, record: Record) -> tuple[float, ...]:
        """The objectives of a record, all of them finite.

        The worst of each if it failed or broke a rule; worse than that, by how far it is beyond
        the bounds, if it is beyond them.
        """
        if self.feasible(record):
            return tuple(self._value(objective, record) for objective in self.objectives)
        beyond = self.bounds.violation(record.measurement)
        return tuple(objective.infeasible(beyond) for objective in self.objectives)

    def _value(self, objective: Objective, record: Record) -> float:
        try:
            return objective.value(record.measurement)
        except (KeyError, TypeError, ValueError) as error:
            raise OperatorError(
                f"objectives: {objective.name!r} failed on a measurement ({one_line(error)}); "
                f"measured are {', '.join(record.measurement)}"
            ) from error

    def feasible(self, record: Record) -> bool:
        """Whether a record has all that the objectives need, and is within the bounds."""
        return (
            record.status not in FAILED
            and self._complete(record)
            and not self.bounds.violation(record.measurement)
        )

    def _complete(self, record: Record) -> bool:
        needed = self._needed
        return record.status == "ok" or (bool(needed) and needed <= set(record.measurement))

    def known_violation(self, genome: list[int]) -> float:
        """How far a genome is beyond the bounds, as far as it is known without training."""
        return self.bounds.violation(self.known(genome))

    def known(self, genome: list[int]) -> dict[str, float]:
        """What the problem tells of a genome without training it, if a bound asks for it."""
        return self.arithmetic(genome) if self.bounds.limits else {}

    def arithmetic(self, genome: list[int]) -> dict[str, float]:
        """What the problem tells of a genome without training it; nothing if it has none."""
        return self.problem.known(list(genome)) if hasattr(self.problem, "known") else {}

    def losses(self, records: Sequence[Record]) -> numpy.ndarray:
        """The fitness of records (records, objectives), negated where it is maximized."""
        weights = numpy.array([objective.weight for objective in self.objectives])
        fitness = numpy.array([self.fitness(record) for record in records])
        return -fitness.reshape(-1, len(weights)) * weights

    def settled(self, key: str) -> Record | None:
        """The archive's record of a key, unless bounds refused it that have been widened since,
        or it failed and failures are to be tried again."""
        record = self.archive.get(key)
        if record and record.status in FAILED and self.retry_failed:
            return None
        if record is None or record.status != "infeasible" or self._complete(record):
            return record
        refused_by_a_rule = not record.measurement
        beyond = self.bounds.violation(record.measurement)
        return record if refused_by_a_rule or beyond else None

    def records(self, backend: Backend, genomes: Sequence[list[int]]) -> list[Record]:
        """The record of each genome, in order; what is not in the archive is measured first."""
        keys = []
        new: dict[str, Job] = {}
        for genome in genomes:
            key, canonical = self.identify(genome)
            keys.append(key)
            if key not in self.asked and key not in new:
                new[key] = Job(len(new), canonical, self.options(genome, key))
        left = len(new) if self.limit is None else self.limit - len(self.asked)
        before = {key for key in keys if key in self.asked}
        trained = self._know(backend, dict(list(new.items())[:left]))
        for genome, key in zip(genomes, keys, strict=True):
            if key in self.asked:
                self.count(genome, key, "reused" if key in before else trained.get(key, "reused"))
                before.add(key)
        if len(new) > left:
            raise BudgetSpent
        return [self.asked[key] for key in keys]

    def count(self, individual: list[int], key: str, how: str) -> None:
        """Take note of an individual whose record is known, and "how" it became known: "trained",
        "reused" or "infeasible"."""
        self.lineage.bear(individual, self.asked[key].key)
        self.counts["evaluated"] += 1
        self.counts["failed"] += self.asked[key].status in FAILED
        self.counts[how] += 1

    def identify(self, genome: list[int]) -> tuple[str, list[int]]:
        """The archive's key of a genome's network, and the one genome that stands for it."""
        key, canonical = self._identity_of(tuple(genome))
        return key, list(canonical)

    def _identity(self, genes: tuple[int, ...]) -> tuple[str, list[int]]:
        canonical = list(map(int, self.space.canonical(list(genes))))
        return self.archive.key(self.space.decode(canonical)), canonical

    def options(self, individual: list[int], key: str) -> dict[str, Any]:
        """What the problem is told of an individual beside its genome; `key` is its network's.

        One that `inherits` hears of the networks that it was made of, the first parent first.
        """
        if not getattr(self.problem, "inherits", False):
            return {}
        records = [self.archive.get(parent) for parent in self.lineage.parents(individual)]
        parents = [self.archive.key(record.architecture) for record in records if record]
        return {"key": key, "parents": list(dict.fromkeys(parents))}

    def _know(self, backend: Backend, new: dict[str, Job]) -> dict[str, str]:
        """Make every key of `new` known; which were "trained" and which "infeasible".

        With halving, rung by rung: whoever is not promoted stays with its record of the last one.
        """
        trained: dict[str, str] = {}
        if not self.halving:
            self._measure(backend, new, None, trained)
            return trained
        on_the_way = new
        for epochs in self.halving.rungs(self.problem):
            found = self._measure(backend, on_the_way, epochs, trained, first=on_the_way is new)
            in_order = {key: found[key] for key in on_the_way}  # and not as they became known
            on_the_way = {key: new[key] for key in self._promoted(in_order)}
            for key in found.keys() - on_the_way.keys():
                self.forget(key)
            self.asked |= {key: found[key] for key in found if key not in on_the_way}
        return trained

    def forget(self, key: str) -> None:
        """Tell the problem that the network of this key is not trained further."""
        if hasattr(self.problem, "forget"):
            self.problem.forget(key)

    def _promoted(self, found: dict[str, Record]) -> list[str]:
        """Who goes on of a rung; nobody whose record is the network's own, as after the last."""
        assert self.halving
        rung = {key: record for key, record in found.items() if record.key != key}
        values = {key: self.fitness(r) for key, r in rung.items() if self.feasible(r)}
        weights = [objective.weight for objective in self.objectives]
        return self.halving.promoted(values, len(rung), weights) if values else []

    def _measure(
        self,
        backend: Backend,
        asked: dict[str, Job],
        epochs: int | None,
        trained: dict[str, str],
        first: bool = True,
    ) -> dict[str, Record]:
        """The record of each network after so many epochs, in the order they became known.

        A network that the archive knows in full, and not after so many epochs, needs no rung.
        epochs: None for all, and nothing is said of them to the problem.  trained: takes up which
        networks were "trained" here and which are "infeasible".  first: as for `epochs_for`.
        """
        found: dict[str, Record] = {}
        jobs, waiting = [], {}
        for key, job in asked.items():
            own = self._key_after(epochs, key, job.genome)
            if record := self.settled(own) or (self.settled(key) if own != key else None):
                found[key] = record
                self._hear(key, record, first)
            elif refused := self.refused(job.genome):
                trained[key] = "infeasible"
                found[key] = self._archived(key, job.genome, refused)
                self._hear(key, found[key], first)
            else:
                if epochs is not None:
                    job = replace(job, options={**job.options, "epochs": epochs, "key": key})
                jobs.append(job)
                waiting[job.number] = key, own
        if cost := getattr(self.problem, "cost", None):
            # Longest first, so that no worker is left with a long one when the others are done.
            jobs.sort(key=lambda job: cost(job.genome), reverse=True)
        if not jobs:
            return found
        with unmoved_generators():
            for outcome in backend(self.measure, jobs):
                key, own = waiting.pop(outcome.number)
                trained[key] = "infeasible" if outcome.status == "infeasible" else "trained"
                found[key] = self._archived(own, asked[key].genome, outcome)
                self._hear(key, found[key], first)
        assert not waiting, f"the backend answered for all but {len(waiting)} jobs"
        return found

    def _key_after(self, epochs: int | None, key: str, genome: list[int]) -> str:
        """The key of a network's record after so many epochs; after all of them, its own."""
        if epochs is None or epochs == getattr(self.problem, "epochs", None):
            return key
        return self.archive.key(self.space.decode(genome), epochs=epochs)

    def _hear(self, key: str, record: Record, first: bool) -> None:
        """A record of the network of `key` is known; whether it is its last one, if it is another
        one than the network's own, is not known yet."""
        if record.key == key:
            self.announce(record, first)
        else:
            self.epochs += epochs_for(record, first)
            self.on_record(record)

    def refused(self, genome: list[int]) -> Outcome | None:
        """The outcome of a genome that a rule of the space or a bound refuses without training."""
        reason = self.space.violation(genome)
        known = {} if reason else self.known(genome)
        reason = reason or self.bounds.reason(known)
        return Outcome(0, "infeasible", known, reason) if reason else None

    def keep(self, key: str, genome: list[int], outcome: Outcome) -> None:
        """Put an outcome into the archive, and announce it."""
        self.announce(self._archived(key, genome, outcome))

    def _archived(self, key: str, genome: list[int], outcome: Outcome) -> Record:
        record = Record.of(key, genome, self.space.decode(genome), outcome)
        self.archive.add(record)
        return record

    def announce(self, record: Record, first: bool = True) -> None:
        """This search knows a network's own record now."""
        self.epochs += epochs_for(record, first)
        self.asked[record.key] = record
        self.on_record(record)


@contextmanager
def unmoved_generators() -> Iterator[None]:
    """Leave the global generators as they were, whatever an evaluation in this process draws.

    A continued search is served what an earlier one evaluated, and must draw what it drew.
    """
    state, numpy_state = random.getstate(), numpy.random.get_state()
    try:
        yield
    finally:
        random.setstate(state)
        numpy.random.set_state(numpy_state)


def evaluate_invalid(individuals: Sequence[Individual], toolbox: base.Toolbox) -> None:
    """Give a fitness to every individual that has none."""
    invalid = [individual for individual in individuals if not individual.fitness.valid]
    values = toolbox.map(toolbox.evaluate, invalid)
    for individual, fitness in zip(invalid, values, strict=True):
        individual.fitness.values = fitness


def _unwrapped(function: Callable) -> Callable:
    """The function behind the partials that `toolbox.register` makes."""
    while isinstance(function, partial):
        function = function.func
    return function


def _undecorated(function: Callable) -> Callable:
    """The function behind the decorators of `toolbox.decorate` and their partials."""
    while hasattr(function, "__wrapped__"):
        function = _unwrapped(function.__wrapped__)
    return function
