"""One evaluation after another, in this process."""

from collections.abc import Callable, Iterator, Sequence

from toolbox.measure import Job, Outcome


class Serial:
    """A map that evaluates here.  Nothing protects the search from a network that crashes."""

    def __call__(
        self, function: Callable[[Job], Outcome], jobs: Sequence[Job]
    ) -> Iterator[Outcome]:
        return map(function, jobs)

    def close(self) -> None:
        """There is nothing to close."""
