"""Individuals in, fitness out: the archive in front of the backend, behind `toolbox.map`."""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
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

FAILED = ("error", "timeout", "crash")
Backend = Callable[[Callable[[Job], Outcome], Sequence[Job]], Iterable[Outcome]]


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
        self.problem = problem
        self.space = problem.space
        self.objectives = objectives
        self.archive = archive
        self.bounds = bounds or Bounds()
        self.measure = Measure(problem, bounds)
        self._needed = {name for objective in objectives for name in objective.needs}
        self.limit: int | None = None
        self.retry_failed = False
        self.halving: Halving | None = None
        self.epochs = 0.0
        self.counts: Counter[str] = Counter()
        self.on_record: Callable[[Record], None] = lambda record: None
        self.asked: dict[str, Record] = {}  # by the network's key, in the order they were settled
        self.lineage = Lineage()

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
        behind = _unwrapped(function)
        if behind == self.evaluate:
            return [self.fitness(record) for record in self.records(backend, individuals)]
        if _undecorated(behind) == self.evaluate:
            self.records(backend, individuals)  # the decorated function is then served from here
        return list(map(function, individuals, *more))

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
        if self.bounds.limits and hasattr(self.problem, "known"):
            return self.problem.known(list(genome))
        return {}

    def _settled(self, key: str) -> Record | None:
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
        new: dict[str, list[int]] = {}
        for genome in genomes:
            key, canonical = self.identify(genome)
            keys.append(key)
            if key not in self.asked and key not in new:
                new[key] = canonical
        left = len(new) if self.limit is None else self.limit - len(self.asked)
        before = set(self.asked)
        trained = self._know(backend, dict(list(new.items())[:left]))
        for genome, key in zip(genomes, keys, strict=True):
            if key in self.asked:
                self.lineage.bear(genome, self.asked[key].key)
                self.counts["evaluated"] += 1
                self.counts["failed"] += self.asked[key].status in FAILED
                self.counts["reused" if key in before else trained.get(key, "reused")] += 1
                before.add(key)
        if len(new) > left:
            raise BudgetSpent
        return [self.asked[key] for key in keys]

    def identify(self, genome: list[int]) -> tuple[str, list[int]]:
        """The archive's key of a genome's network, and the one genome that stands for it."""
        canonical = [int(gene) for gene in self.space.canonical(list(genome))]
        return self.archive.key(self.space.decode(canonical)), canonical

    def _know(self, backend: Backend, new: dict[str, list[int]]) -> dict[str, str]:
        """Make every key of `new` known; which were "trained" and which "infeasible".

        With halving, rung by rung: whoever is not promoted stays with its record of the last one.
        """
        trained: dict[str, str] = {}
        on_the_way = new
        for epochs in self.halving.rungs(self.problem) if self.halving else [None]:
            first = on_the_way is new
            found = self._measure(backend, on_the_way, epochs, trained)
            self.epochs += sum(epochs_for(record, first) for record in found.values())
            in_order = {key: found[key] for key in on_the_way}  # and not as they became known
            on_the_way = {key: new[key] for key in self._promoted(in_order)}
            for key, record in found.items():
                if key not in on_the_way:
                    self.asked[key] = record
                    if self.halving:
                        getattr(self.problem, "forget", lambda key: None)(key)
        return trained

    def _promoted(self, found: dict[str, Record]) -> list[str]:
        """Who goes on of a rung; nobody of the last one, where the keys are the networks'."""
        rung = {key: record for key, record in found.items() if record.key != key}
        if not self.halving or not rung:
            return []
        values = {key: self.fitness(r) for key, r in rung.items() if self.feasible(r)}
        weights = [objective.weight for objective in self.objectives]
        return self.halving.promoted(values, len(rung), weights)

    def _measure(
        self,
        backend: Backend,
        networks: dict[str, list[int]],
        epochs: int | None,
        trained: dict[str, str],
    ) -> dict[str, Record]:
        """The record of each network after so many epochs, in the order they became known.

        A network that the archive knows in full, and not after so many epochs, needs no rung.
        epochs: None for all, and nothing else is asked of the problem.  trained: takes up which
        networks were "trained" here and which are "infeasible".
        """
        found: dict[str, Record] = {}
        jobs, waiting = [], {}
        for number, (key, genome) in enumerate(networks.items()):
            own = self._key_after(epochs, key, genome)
            if record := self._settled(own) or self._settled(key):
                found[key] = record
                self.on_record(record)
                continue
            reason = self.space.violation(genome)
            known = {} if reason else self.known(genome)
            if reason := reason or self.bounds.reason(known):
                trained[key] = "infeasible"
                found[key] = self._keep(key, genome, Outcome(number, "infeasible", known, reason))
            else:
                options = {} if epochs is None else {"epochs": epochs, "key": key}
                jobs.append(Job(number, genome, options))
                waiting[number] = key, own
        if cost := getattr(self.problem, "cost", None):
            # Longest first, so that no worker is left with a long one when the others are done.
            jobs.sort(key=lambda job: cost(job.genome), reverse=True)
        with unmoved_generators():
            for outcome in backend(self.measure, jobs) if jobs else ():
                key, own = waiting.pop(outcome.number)
                trained[key] = "infeasible" if outcome.status == "infeasible" else "trained"
                found[key] = self._keep(own, networks[key], outcome)
        assert not waiting, f"the backend answered for all but {len(waiting)} jobs"
        return found

    def _key_after(self, epochs: int | None, key: str, genome: list[int]) -> str:
        """The key of a network's record after so many epochs; after all of them, its own."""
        if epochs is None or epochs == getattr(self.problem, "epochs", None):
            return key
        return self.archive.key(self.space.decode(genome), epochs=epochs)

    def _keep(self, key: str, genome: list[int], outcome: Outcome) -> Record:
        record = Record.of(key, genome, self.space.decode(genome), outcome)
        self.archive.add(record)
        self.on_record(record)
        return record


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
