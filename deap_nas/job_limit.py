"""How a search stops by itself before the job of a cluster ends that it runs in.

SLURM tells the end of a job in SLURM_JOB_END_TIME, in seconds since 1970 (from version 23.02 on;
before, a batch file can set it).  What is left undone is an interruption, as by Ctrl-C: everything
finished is in the archive.  Only the exit status is another one, so that a batch file can tell that
the same command is to be run again.
"""

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

VARIABLE = "SLURM_JOB_END_TIME"
STATUS = 75  # EX_TEMPFAIL of BSD's sysexits.h: run it again
# A search stops so long before the end, or a tenth of what is left if that is less.
MARGIN_SECONDS, MARGIN_SHARE = 60.0, 0.1

log = logging.getLogger(__name__)


class JobEnds(KeyboardInterrupt):
    """The job that this process runs in ends soon."""


def seconds_left(told: str | None, now: float) -> float:
    """Seconds until a search must stop; infinity if its job has no end.

    told: VARIABLE, None if it is not set.  Raises ValueError if it is no number.
    """
    if told is None:
        return math.inf
    try:
        left = float(told) - now
    except ValueError:
        left = math.nan
    if math.isnan(left):
        raise ValueError(
            f"{VARIABLE} = {told!r}: the end of this job in seconds since 1970 is needed, "
            f"like {now + 3600:.0f}; without it a search knows of no end"
        )
    if left <= 0:
        return math.inf  # of another job, or this one was given more time
    return left - min(MARGIN_SECONDS, MARGIN_SHARE * left)


@contextmanager
def stopping_before(stop: Callable[[], None]) -> Iterator[None]:
    """Meanwhile, `stop` is called, in a thread, when it is time to.  Raises ValueError."""
    seconds = seconds_left(os.environ.get(VARIABLE), time.time())
    if seconds > threading.TIMEOUT_MAX:
        yield
        return
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def tell() -> None:
    """Say in the log when this search stops for its job's sake."""
    from toolbox.work import clock_after  # the first import of all must find this package alone

    seconds = seconds_left(os.environ.get(VARIABLE), time.time())
    if seconds < threading.TIMEOUT_MAX:
        log.info(
            "%s: this job ends soon after %s; the search stops then, with status %d",
            *(VARIABLE, clock_after(seconds), STATUS),
        )
