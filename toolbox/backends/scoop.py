"""Evaluations on the workers of SCOOP, on one machine or many.

Start it with `python -m scoop -n 3 run_search.py ...`: one process leads, the others evaluate.
SCOOP's broker and workers exchange pickles without authentication: for trusted networks only.
"""

import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from toolbox.measure import Job, Outcome, one_line

POLL_SECONDS = 0.02


class Scoop:
    """A map over SCOOP's workers, in the order in which they finish.

    Raises ValueError if this process was not started by SCOOP, which otherwise would quietly
    evaluate everything in this process.
    """

    def __init__(self) -> None:
        import scoop

        if not getattr(scoop, "IS_RUNNING", False):
            raise ValueError(
                "use = 'scoop': it was not started by SCOOP; start it with "
                "python -m scoop -n 3 run_search.py ..."
            )
        if scoop.SIZE < 2:
            raise ValueError(
                f"use = 'scoop': there are no workers with -n {scoop.SIZE}, because one process "
                "leads; at least -n 2 is needed"
            )
        from scoop import _types

        # SCOOP asks its broker for every future it has waited for and sends it again if the broker
        # forgot it, which it does after some seconds: each long evaluation would be run twice.
        _types.FutureQueue.askForPreviousFutures = lambda queue: None

    def __call__(
        self, function: Callable[[Job], Outcome], jobs: Sequence[Job]
    ) -> Iterator[Outcome]:
        from scoop import futures

        payload = pickle.dumps(function)
        running = {futures.submit(evaluate, sys.path, payload, job): job for job in jobs}
        while running:
            # Waiting with a timeout of 0 sends and collects, and never runs a job in this process.
            done, _ = futures.wait(list(running), timeout=0)
            for future in done:
                number = running.pop(future).number
                if future.exceptionValue is None:
                    yield future.resultValue
                else:  # the job could not be unpickled there, say
                    yield Outcome(number, "error", message=one_line(future.exceptionValue))
            if not done:
                time.sleep(POLL_SECONDS)

    def close(self) -> None:
        """SCOOP ends its workers itself when the leading process ends."""


def evaluate(path: list[str], payload: bytes, job: Job) -> Outcome:
    """In a worker: `function(job)`.

    The function travels as bytes and is unpickled once, after the leader's import path is set, so
    that a user's own module is found.
    """
    return _unpickled(tuple(path), payload)(job)


@lru_cache(maxsize=2)
def _unpickled(path: tuple[str, ...], payload: bytes) -> Any:
    sys.path.extend(entry for entry in path if entry not in sys.path)
    return pickle.loads(payload)
