"""The evaluations in this process: one after another, or in turns where the problem has that."""

from collections.abc import Iterable, Iterator

from toolbox.backends.backend import Measuring
from toolbox.measure import Job, Outcome


class Serial:
    """A map that evaluates here.  Nothing protects the search from a network that crashes."""

    def __call__(self, function: Measuring, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        if hasattr(function, "many"):
            outcomes: Iterator[Outcome] = function.many(jobs)
            return outcomes
        return (function(job) for job in jobs if job is not None)

    def room(self, function: Measuring) -> int:
        """How many jobs are in hand at once."""
        return getattr(function, "at_once", 1)

    def close(self) -> None:
        """There is nothing to close."""
