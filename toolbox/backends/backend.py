"""What may stand behind `toolbox.map`: any map, and what it may offer beside being one.

A plain function `map(function, jobs)` is enough: `toolbox.map = "module:function"`, or registered
by hand.  It returns `function(job)` of each job, once, in any order, and is told `threads` and
`gpus` if it has parameters of these names.  A class is built with its declared options, and its
instances are the map; they may have `room` and `close` as below.

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

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from toolbox.measure import Job, Outcome

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
