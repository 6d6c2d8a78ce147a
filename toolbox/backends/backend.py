"""What may stand behind `toolbox.map`: any map, and what it may offer beside being one.

A plain function `map(function, jobs)` is enough: `toolbox.map = "module:function"`, or registered
by hand.  It returns `function(job)` of each job, once, in any order, and is told `threads` and
`gpus` if it has parameters of these names.  A class is built with its declared options, and its
instances are the map; they may have `together`, `room` and `close` as below, and `carry_mib`: a
number above 0 if there may be workers that do not see the run folder (luggage.py).

The function that it is given is a `toolbox.measure.Measure`, which never raises and can be pickled.
Beside being called with a job it has

at_once
    How many jobs one process should have in hand, because the problem overlaps them.
many(jobs)
    The outcomes of several jobs that one process has in hand, as each becomes known.  A None
    among the jobs means that there is none right now.
on_worker(rank)
    The same function for the worker of this rank on its machine, counted from 0.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from typing import Any, Protocol

from toolbox.measure import Job, Outcome

GATHER_SECONDS = 0.005  # an outcome waits so long at most for others to arrive
CARRY_MIB = 16.0  # of what a training needs of the run folder, to a machine that does not see it

Measuring = Callable[[Job], Outcome]
# Jobs in any number.  Those of an asynchronous algorithm come one by one, with None among them.
Map = Callable[[Measuring, Any], Iterable[Outcome]]


class Backend(Protocol):
    """A map for every algorithm, the asynchronous ones too."""

    def __call__(self, function: Measuring, jobs: Iterable[Job | None]) -> Iterable[Outcome]:
        """The outcome of each job as it becomes known; the next jobs are read when there is room.

        A None among the jobs means that there is none right now; there may be one after the next
        outcome.
        """
        ...

    def room(self, function: Measuring) -> int:
        """How many jobs can be in hand at once.

        Optional: an asynchronous algorithm needs it, which sends that many jobs on their way.
        """
        ...

    def close(self) -> None:
        """Release processes and connections; called at the end of a search.  Optional."""
        ...


class Together(Backend, Protocol):
    """A backend that also tells which outcomes arrived together."""

    def together(self, function: Measuring, jobs: Iterable[Job | None]) -> Iterable[list[Outcome]]:
        """The outcomes of the map, in lists of those that arrived together.

        A list is committed to the archive in one transaction, where each outcome that the map
        itself yields is one.
        """
        ...


def one_by_one(together: Generator[list[Outcome], None, None]) -> Iterator[Outcome]:
    """The map of a backend that has `together`."""
    with closing(together):
        for outcomes in together:
            yield from outcomes


class Arrivals:
    """What has arrived and is not handed on yet.

    Each time it is handed on costs a commit, so that this does not happen again within
    GATHER_SECONDS, unless there is nothing to wait for.
    """

    def __init__(self) -> None:
        self._outcomes: list[Outcome] = []
        self._due = 0.0

    def add(self, outcomes: Iterable[Outcome]) -> None:
        self._outcomes.extend(outcomes)

    @property
    def patience(self) -> float:
        """Seconds until they are handed on; infinity if there are none."""
        return max(0.0, self._due - time.monotonic()) if self._outcomes else float("inf")

    def take(self, last: bool) -> list[Outcome]:
        """Those that are to be handed on now.  last: no other is on its way."""
        if not last and self.patience:
            return []
        taken, self._outcomes = self._outcomes, []
        if taken:
            self._due = time.monotonic() + GATHER_SECONDS
        return taken
