"""Evaluations without a barrier: individuals go in one by one, and each comes out as soon
as its network is known.

A batch of `toolbox.map` ends when its slowest network does.  Here another child can be bred as soon
as one network is known.  What is bred must then depend on nothing but the order in which networks
became known, and that order is the archive's: of those on their way, what the archive knows comes
out first, in the archive's order.  So a continued search breeds what it bred before.
"""

import heapq
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from toolbox.backends.backend import Map
from toolbox.evaluation import how_measured, outcomes, unmoved_generators
from toolbox.individual import Individual
from toolbox.measure import Job, Outcome
from toolbox.networks import How
from toolbox.operator_error import OperatorError

log = logging.getLogger(__name__)


@dataclass
class OnItsWay:
    """A network that is not known yet, and the individuals that wait for it."""

    genome: list[int]
    individuals: list[Individual]


@dataclass
class Stream:
    """The evaluations of one search that are on their way.

    toolbox: its `evaluate` gives the fitness.  backend: it must take its jobs one at a time.
    in_flight: how many individuals are on their way at once; it decides what is bred from what, so
    it is remembered in the archive, and a search that is continued with more or fewer workers goes
    on with the number it was begun with.  added: how many individuals have been sent on their way.
    """

    toolbox: Any
    backend: Map
    in_flight: int
    _on_their_way: dict[str, OnItsWay] = field(default_factory=dict)
    _numbers: dict[int, str] = field(default_factory=dict)  # of jobs, to their keys
    # Those on their way that the archive knows: where each stands in it, and the key; a heap.
    _archived: list[tuple[int, str]] = field(default_factory=list)
    _how: dict[str, How] = field(default_factory=dict)  # each of them became known
    _queue: deque[Job] = field(default_factory=deque)
    _waiting: int = 0  # individuals of those on their way; asked for ever again
    _known: deque[Individual] = field(default_factory=deque)
    _outcomes: Iterator[list[tuple[str, Outcome]]] | None = None
    _counter: Iterator[int] = field(default_factory=itertools.count)
    added: int = 0

    @classmethod
    def begin(cls, toolbox: Any, backend: Map, declared: int | None) -> "Stream":
        """A stream with as many in flight as are declared, or else as there is room for.

        Raises OperatorError for a backend that wants all its jobs at once.
        """
        room = getattr(backend, "room", None)
        if room is None:
            raise OperatorError(
                "toolbox.map: this algorithm breeds a child as soon as a worker is free, which "
                "needs a map that takes one job after the other: serial, processes, scoop or ray"
            )
        if toolbox.evaluator.halving:
            raise OperatorError(
                "halving: it compares the new networks of a batch, and this algorithm sends them "
                "one by one; leave it out, or choose another algorithm"
            )
        archive = toolbox.evaluator.networks.archive
        in_flight = declared
        if in_flight is None:
            now = room(toolbox.evaluator.measure)
            in_flight = archive.noted("in_flight")
            if in_flight is None:
                in_flight = now
                archive.note("in_flight", in_flight)
            elif in_flight != now:
                log.info(
                    "%d networks are in flight, as when this search was begun; there is room for "
                    "%d now",
                    *(in_flight, now),
                )
        stream = cls(toolbox, backend, in_flight)
        toolbox.evaluator.networks.awaited = stream._on_their_way
        return stream

    def __len__(self) -> int:
        """How many individuals are on their way or wait to be taken."""
        return len(self._known) + self._waiting

    @property
    def has_room(self) -> bool:
        return len(self) < self.in_flight

    def children(
        self, breed: Callable[[int], list[Individual]], count: int, most: int
    ) -> Iterator[Individual]:
        """`count` individuals as they become known, fewer if the budget ends before.

        breed: makes the given number of children; it is asked for one whenever there is room,
        until `most` have been bred since the stream began.  The caller has dealt with every
        individual that came out before it is asked again.
        """
        for _ in range(count):
            while self.has_room and self.added < most and self.add(*breed(1)):
                pass
            known = self.next()
            if known is None:
                return
            yield known

    def add(self, individual: Individual) -> bool:
        """Send an individual on its way; False if its network would be one too many."""
        self.added += 1
        evaluator = self.toolbox.evaluator
        if not self.toolbox.is_served_by_archive:  # a function of the user's own
            individual.fitness.values = self.toolbox.evaluate(individual)
            self._known.append(individual)
            return True
        networks = evaluator.networks
        key, genome = networks.identify(individual)
        if key in self._on_their_way:
            self._on_their_way[key].individuals.append(individual)
            self._waiting += 1
            return True
        if key in networks.records:
            self._take(individual, key, "reused")
            return True
        if len(self._on_their_way) >= networks.left:
            return False
        self._on_their_way[key] = OnItsWay(genome, [individual])
        self._waiting += 1
        if networks.settled(key):
            self._comes_out(key, "reused")
        elif refused := networks.refused(key, genome):
            networks.archive.add(refused)
            self._comes_out(key, "infeasible")
        else:
            number = next(self._counter)
            self._numbers[number] = key
            self._queue.append(Job(number, genome, networks.options(individual, key)))
        return True

    def next(self) -> Individual | None:
        """The next individual that is known, with its fitness; None if none is on its way."""
        if not self._known and self._on_their_way:
            self._wait()
        return self._known.popleft() if self._known else None

    def _wait(self) -> None:
        """Until one network more is known."""
        if not self._archived:
            self._archive_arrivals()
        networks = self.toolbox.evaluator.networks
        _, key = heapq.heappop(self._archived)
        networks.learn(networks.archive.get(key))
        how = self._how.pop(key)
        individuals = self._on_their_way.pop(key).individuals
        self._waiting -= len(individuals)
        for individual in individuals:
            self._take(individual, key, how)
            how = "reused"

    def _archive_arrivals(self) -> None:
        """Wait until something is measured, and keep all that has arrived by then."""
        evaluator = self.toolbox.evaluator
        networks = evaluator.networks
        if self._outcomes is None:
            self._outcomes = outcomes(
                self.backend,
                evaluator.measure_by(self.backend),
                self._jobs(),
                self._numbers,
            )
        with unmoved_generators():
            together = next(self._outcomes)
        records = [
            networks.record(key, self._on_their_way[key].genome, one) for key, one in together
        ]
        networks.archive.add(*records)
        for (key, _), record in zip(together, records, strict=True):
            self._comes_out(key, how_measured(record))

    def _comes_out(self, key: str, how: How) -> None:
        """The archive has a network that is on its way: it comes out in the archive's order."""
        self._how[key] = how
        position = self.toolbox.evaluator.networks.archive.position(key)
        heapq.heappush(self._archived, (position, key))

    def _jobs(self) -> Iterator[Job | None]:
        """What the backend takes from: never at its end, and empty at times."""
        while True:
            yield self._queue.popleft() if self._queue else None

    def _take(self, individual: Individual, key: str, how: How) -> None:
        evaluator = self.toolbox.evaluator
        evaluator.networks.count(individual, key, how)
        record = evaluator.networks.records[key]
        individual.fitness.values = evaluator.answer(self.toolbox.evaluate, individual, record)
        self._known.append(individual)

    def drain(self) -> None:
        """Put into the archive what is being measured, for nobody to breed from, and close."""
        for job in self._queue:
            del self._numbers[job.number]
        self._queue.clear()
        while self._numbers and self._outcomes is not None:
            self._archive_arrivals()
        self.close()

    def close(self) -> None:
        """Let go of what is still on its way."""
        getattr(self._outcomes, "close", lambda: None)()
