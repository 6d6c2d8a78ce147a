"""Evaluations in child processes on this machine."""

import logging
import os
from collections.abc import Generator, Iterable, Iterator
from typing import Annotated

from annotated_types import Ge, Gt

from toolbox.backends.backend import Measuring
from toolbox.backends.children import Care, Children
from toolbox.measure import Job, Outcome

log = logging.getLogger(__name__)


class Processes:
    """A map over child processes, in the order in which they finish.

    workers: default one for each GPU that the problem uses, or without one the machine's cores
    divided by the threads of an evaluation, at least 1.
    timeout_seconds: an evaluation that takes longer is killed and recorded as a timeout.
    retries: how often an evaluation is begun again whose process crashed.
    recycle_after, memory_limit_mib: a child is replaced after this number of evaluations, or when
    it holds more memory than this after one.
    """

    def __init__(
        self,
        threads: int,
        gpus: int = 0,
        workers: Annotated[int, Ge(1)] | None = None,
        timeout_seconds: Annotated[float, Gt(0)] | None = None,
        retries: Annotated[int, Ge(0)] = 2,
        recycle_after: Annotated[int, Ge(1)] | None = None,
        memory_limit_mib: Annotated[float, Gt(0)] | None = None,
    ):
        if gpus and workers and workers > gpus:
            log.warning(
                "toolbox.map.workers = %d: they share %d GPU%s, so times are of a shared one, and "
                "each of them may take the memory that another has counted on",
                *(workers, gpus, "s" * (gpus > 1)),
            )
        self.workers = workers or gpus or max(1, (os.cpu_count() or 1) // threads)
        care = Care(timeout_seconds, retries, recycle_after, memory_limit_mib)
        self._children = Children(self.workers, care)

    def __call__(self, function: Measuring, jobs: Iterable[Job | None]) -> Iterator[Outcome]:
        return self._children(function, jobs)

    def together(
        self, function: Measuring, jobs: Iterable[Job | None]
    ) -> Generator[list[Outcome], None, None]:
        """The same, in lists of those that arrived together."""
        return self._children.together(function, jobs)

    def room(self, function: Measuring) -> int:
        """How many jobs are in hand at once."""
        return self.workers * getattr(function, "at_once", 1)

    def close(self) -> None:
        """Kill what is running and wait until it is gone."""
        self._children.close()
