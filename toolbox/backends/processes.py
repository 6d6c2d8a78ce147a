"""Evaluations in killable, reusable child processes on this machine, by Pebble's ProcessPool."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import TimeoutError, as_completed
from functools import cached_property
from typing import Annotated

from annotated_types import Ge, Gt
from pebble import ProcessExpired, ProcessPool

from toolbox.measure import Job, Outcome, one_line


class Processes:
    """A map over child processes, in the order in which they finish.

    workers: default the machine's cores divided by the threads of an evaluation, at least 1.
    timeout_seconds: an evaluation that takes longer is killed and recorded as a timeout.
    """

    def __init__(
        self,
        threads: int,
        workers: Annotated[int, Ge(1)] | None = None,
        timeout_seconds: Annotated[float, Gt(0)] | None = None,
    ):
        self.workers = workers or max(1, (os.cpu_count() or 1) // threads)
        self.timeout_seconds = timeout_seconds

    @cached_property
    def _pool(self) -> ProcessPool:
        # Spawned, not forked: CUDA cannot be used in a forked child, and Windows has no fork.
        return ProcessPool(self.workers, context=multiprocessing.get_context("spawn"))

    def __call__(
        self, function: Callable[[Job], Outcome], jobs: Sequence[Job]
    ) -> Iterator[Outcome]:
        scheduled = {
            self._pool.schedule(function, args=[job], timeout=self.timeout_seconds): job
            for job in jobs
        }
        try:
            for future in as_completed(scheduled):
                number = scheduled[future].number
                try:
                    yield future.result()
                except TimeoutError:
                    message = f"not finished after {self.timeout_seconds:g} s"
                    yield Outcome(number, "timeout", message=message)
                except ProcessExpired as error:
                    message = f"the process of the evaluation ended with code {error.exitcode}"
                    yield Outcome(number, "crash", message=message)
                except Exception as error:  # what the function itself let through
                    yield Outcome(number, "error", message=one_line(error))
        finally:
            for future in scheduled:
                future.cancel()

    def close(self) -> None:
        """Kill what is running and wait until it is gone."""
        if "_pool" in self.__dict__:
            self._pool.stop()
            self._pool.join()
