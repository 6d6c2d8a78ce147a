"""Individuals in, fitness out: the archive in front of the backend, behind `toolbox.map`."""

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, TypeVar

import numpy
from deap import base

from toolbox.archive import Record
from toolbox.backends.backend import Map, Measuring
from toolbox.halving import Halving
from toolbox.individual import Individual
from toolbox.luggage import Luggage
from toolbox.measure import Job, Measure, Outcome
from toolbox.networks import BudgetSpent, How, Networks
from toolbox.operator_error import OperatorError
from toolbox.problem import Problem

T = TypeVar("T")  # what is noted of a job


class Evaluator:
    """Measures each distinct network once and reads the fitness off its measurement.

    halving: new networks are trained in steps, and only the best go on.
    """

    def __init__(self, networks: Networks, halving: Halving | None = None):
        self.networks = networks
        self.judge = networks.judge
        self.halving = halving
        self.use(networks.problem)

    def use(self, problem: Problem) -> None:
        """Evaluate with another form of the same problem, such as one that is ready now."""
        self.problem = problem
        self.measure = Measure(problem, self.judge.bounds.measured)
        self._luggage: Luggage | None = None

    def measure_by(self, backend: Map) -> Measure | Luggage:
        """What a backend is to apply to jobs: the measure, or one whose problem's files travel.

        They do with a backend that says how large they may be (`carry_mib`), if an evaluation may
        need what another one kept, or what all share.
        """
        most, file = getattr(backend, "carry_mib", 0), self.networks.archive.path
        needs_files = self.halving or self.problem.inherits or self.problem.shared_files()
        if not (most and file and needs_files):
            return self.measure
        if self._luggage is None or self._luggage.most_mib != most:
            self._luggage = Luggage(self.measure, file.parent, most)
        return self._luggage

    def evaluate(self, individual: Individual) -> tuple[float, ...]:
        """The fitness values of one individual."""
        values: tuple[float, ...]
        (values,) = self.map(map, self.evaluate, [individual])
        return values

    def map(
        self,
        backend: Map,
        function: Callable[..., Any],
        individuals: Iterable[Individual],
        *more: Any,
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

    def answer(self, function: Callable[..., Any], individual: Individual, record: Record) -> Any:
        """What `function`, which `is_asked_by`, says of an individual whose record is known."""
        if _unwrapped(function) == self.evaluate:
            return self.judge.fitness(record)
        return function(individual)  # a decorated one, which is served from here now

    def is_asked_by(self, function: Callable[..., Any]) -> bool:
        """Whether `function` is `evaluate`, or what `toolbox.decorate` made of it."""
        return _undecorated(_unwrapped(function)) == self.evaluate

    def records(self, backend: Map, genomes: Sequence[list[int]]) -> list[Record]:
        """The record of each genome, in order; what is not in the archive is measured first.

        Raises BudgetSpent if there were more networks than may be asked for; those that may are
        known then.
        """
        networks = self.networks
        keys = []
        new: dict[str, Job] = {}
        for genome in genomes:
            key, canonical = networks.identify(genome)
            keys.append(key)
            if key not in networks.records and key not in new:
                new[key] = Job(len(new), canonical, networks.options(genome, key))
        admitted = int(min(networks.left, len(new)))
        before = {key for key in keys if key in networks.records}
        how = self._know(backend, dict(list(new.items())[:admitted]))
        for genome, key in zip(genomes, keys, strict=True):
            if key in networks.records:
                networks.count(genome, key, "reused" if key in before else how[key])
                before.add(key)
        if len(new) > admitted:
            raise BudgetSpent
        return [networks.records[key] for key in keys]

    def _know(self, backend: Map, new: dict[str, Job]) -> dict[str, How]:
        """Make every network of `new` known; how each became known.

        With halving, rung by rung: a network that is not promoted keeps its record of the rung.
        """
        how: dict[str, How] = {}
        if not self.halving:
            self._measure(backend, new, None, how)
            return how
        on_the_way = new
        for epochs in self.halving.rungs(self.problem):
            found = self._measure(backend, on_the_way, epochs, how, first=on_the_way is new)
            in_order = {key: found[key] for key in on_the_way}  # and not as they became known
            on_the_way = {key: new[key] for key in self._promoted(self.halving, in_order)}
            for key in found.keys() - on_the_way.keys():
                self.problem.forget(key)
            for key, record in found.items():
                if key not in on_the_way and record.key != key:
                    self.networks.keep(key, record)
        return how

    def _promoted(self, halving: Halving, found: dict[str, Record]) -> list[str]:
        """Who goes on of a rung; nobody whose record is the network's own, as after the last."""
        rung = {key: record for key, record in found.items() if record.key != key}
        judge = self.judge
        values = {key: judge.fitness(r) for key, r in rung.items() if judge.feasible(r)}
        return halving.promoted(values, len(rung), judge.weights) if values else []

    def _measure(
        self,
        backend: Map,
        asked: dict[str, Job],
        epochs: int | None,
        how: dict[str, How],
        first: bool = True,
    ) -> dict[str, Record]:
        """The record of each network after a number of epochs, in the order they became known.

        A network that the archive knows in full, and not after these epochs, needs no rung.
        epochs: None for all, and nothing is said of them to the problem.  how: takes up how each
        network became known.  first: as for `epochs_for`.
        """
        networks = self.networks
        found: dict[str, Record] = {}
        jobs: list[Job] = []
        waiting: dict[int, tuple[str, str]] = {}
        known: list[tuple[str, Record, How]] = []  # without an evaluation

        def learn(key: str, record: Record, became_known: How) -> None:
            found[key] = record
            if became_known != "reused" or key not in how:
                how[key] = became_known
            if record.key == key:
                networks.learn(record, first)
            else:  # whether it goes on is decided by the rung
                networks.learn_on_the_way(record, first)

        for key, job in asked.items():
            own = networks.key_after(epochs, key, job.genome)
            if record := networks.settled(own) or (networks.settled(key) if own != key else None):
                known.append((key, record, "reused"))
            elif refused := networks.refused(key, job.genome):
                known.append((key, refused, "infeasible"))
            else:
                if epochs is not None:
                    job = replace(job, options={**job.options, "epochs": epochs, "key": key})
                jobs.append(job)
                waiting[job.number] = key, own
        networks.archive.add(*(record for _, record, how_known in known if how_known != "reused"))
        for one in known:
            learn(*one)
        for together in self._outcomes(backend, jobs, waiting):
            records = [
                networks.record(own, asked[key].genome, outcome) for (key, own), outcome in together
            ]
            networks.archive.add(*records)
            for ((key, _), _), record in zip(together, records, strict=True):
                learn(key, record, how_measured(record))
        return found

    def again(self, backend: Map, asked: Sequence[tuple[Record, int]]) -> list[Record]:
        """The record of a further training of each network, in order.

        asked: a network's own record, and the number of the seed.  What is not in the archive is
        measured first.
        """
        networks = self.networks
        found: dict[int, Record] = {}
        jobs: list[Job] = []
        waiting: dict[int, tuple[int, str]] = {}

        def learn(number: int, record: Record) -> None:
            found[number] = replace(record, seed=asked[number][1])
            networks.learn_on_the_way(found[number], first=True)

        for number, (record, seed) in enumerate(asked):
            key = networks.key_of_seed(seed, record)
            if known := networks.settled(key):
                learn(number, known)
            else:
                jobs.append(Job(number, record.genome, {"seed": seed}))
                waiting[number] = number, key
        for together in self._outcomes(backend, jobs, waiting):
            records = [
                networks.record(key, asked[number][0].genome, outcome)
                for (number, key), outcome in together
            ]
            networks.archive.add(*records)
            for ((number, _), _), record in zip(together, records, strict=True):
                learn(number, record)
        return [found[number] for number in range(len(asked))]

    def _outcomes(
        self, backend: Map, jobs: list[Job], waiting: dict[int, T]
    ) -> Iterator[list[tuple[T, Outcome]]]:
        """The outcome of every job, in the order in which they become known; see `outcomes`."""
        if not jobs:
            return
        # Longest first, so that no worker is left with a long one when the others are done.
        jobs.sort(key=lambda job: self.problem.cost(job.genome), reverse=True)
        with unmoved_generators():
            yield from outcomes(backend, self.measure_by(backend), jobs, waiting)
        if waiting:
            raise OperatorError(f"toolbox.map: it answered for all but {len(waiting)} jobs")


def outcomes(
    backend: Map, function: Measuring, jobs: Any, waiting: dict[int, T]
) -> Iterator[list[tuple[T, Outcome]]]:
    """What a backend answers, in the order in which it becomes known: lists of what arrived
    together, each outcome with what was noted of its job.

    waiting: the notes of the jobs without an answer, by their numbers; each goes with its answer.
    Raises OperatorError for anything else.
    """
    together = getattr(backend, "together", None)
    luggage = function if isinstance(function, Luggage) else None
    if luggage:
        jobs = luggage.packed(jobs)
    answers: Any = backend(function, jobs) if together is None else together(function, jobs)
    if not isinstance(answers, Iterable):
        raise OperatorError(
            f"toolbox.map: it returned {answers!r}; the result of each job is needed"
        )
    try:
        for arrived in answers:
            found = []
            for answer in [arrived] if together is None else arrived:
                if not isinstance(answer, Outcome) or answer.number not in waiting:
                    raise OperatorError(
                        f"toolbox.map: it yielded {answer!r}; what the function returns for a job "
                        "is needed, once for each"
                    )
                if luggage:
                    answer = luggage.unpacked(answer)
                found.append((waiting.pop(answer.number), answer))
            yield found
    finally:
        getattr(answers, "close", lambda: None)()


def how_measured(record: Record) -> How:
    """How the network of a record that was just measured became known."""
    return "infeasible" if record.status == "infeasible" else "trained"


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


def _unwrapped(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind the partials that `toolbox.register` makes."""
    while isinstance(function, partial):
        function = function.func
    return function


def _undecorated(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function behind the decorators of `toolbox.decorate` and their partials."""
    while hasattr(function, "__wrapped__"):
        function = _unwrapped(function.__wrapped__)
    return function
