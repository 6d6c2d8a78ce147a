"""The evaluations in this process: one after another, or in turns where the problem has that."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

from toolbox.measure import Job, Outcome


class Serial:
    """A map that evaluates here.  Nothing protects the search from a network that crashes."""

    def __call__(
        self, function: Callable[[Job], Outcome], jobs: Sequence[Job]
    ) -> Iterator[Outcome]:
        many = getattr(function, "many", partial(map, function))
        return many(jobs)

    def close(self) -> None:
        """There is nothing to close."""
