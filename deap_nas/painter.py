"""Plots of runs that are watched, drawn beside searches at next to no cost.

A process of its own draws them.  While no core is idle, it takes half a hundredth of the machine's
time, counted from the search's beginning on, with the imports of the first drawing: so a search
that uses every core has its first plots after some minutes, or when it ends.  On Linux it also has
the lowest priority.  If a core has nothing to do, plots are drawn at once, and often.
"""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from deap_nas.idle_cores import CORES

SHARE = 0.005 * CORES  # of a core, for drawing while none is idle
FIRST_SECONDS = 3.0  # of a processor, as expected: the imports are in it
REST_WHEN_IDLE = 10.0  # so many times as long as a drawing took
NICENESS = 19  # the lowest priority of Linux


class Painter:
    """A process that draws reports, one after the other, and rests in between.

    It is begun by the first drawing.
    """

    def __init__(self) -> None:
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._at_work = False
        self._took: float | None = None  # processor seconds of the last drawing, without imports
        self._finished_at = 0.0

    def is_free(self, searched: float | None, idle: bool) -> bool:
        """Whether it may draw.

        searched: for how many seconds there has been a search that it could slow; None if there is
        none.  idle: whether a core has nothing to do.
        """
        if self._at_work or (self._process and not self._process.is_alive()):
            return False
        if searched is None:
            return True
        if self._took is None:
            return idle or SHARE * searched >= FIRST_SECONDS
        rested = time.monotonic() - self._finished_at
        return rested >= max(1.0, self._took * (REST_WHEN_IDLE if idle else 1 / SHARE))

    def paint(self, runs: Sequence[Path], out: Path) -> None:
        """Begin to write the report of some runs."""
        if self._connection is None:
            context = multiprocessing.get_context("spawn")  # threads are running here
            self._connection, theirs = context.Pipe()
            self._process = context.Process(target=_draw, args=(theirs, NICENESS), daemon=True)
            self._process.start()
            theirs.close()
        with suppress(OSError):  # it has ended, as `finished` says
            self._connection.send((list(runs), out))
        self._at_work = True

    def finished(self) -> str | None:
        """What went wrong, "" if nothing did; None if nothing has been finished since."""
        if not (self._at_work and self._connection and self._process):
            return None
        if not self._connection.poll() and self._process.is_alive():
            return None
        self._at_work = False
        try:
            message, self._took = self._connection.recv()
        except (EOFError, OSError):
            return "The process that draws the plots has ended."
        self._finished_at = time.monotonic()
        return str(message)

    def close(self) -> None:
        """End it, whatever it is doing: every file is replaced whole."""
        if self._process and self._connection:
            self._process.kill()
            self._process.join()
            self._connection.close()


def _draw(connection: Connection, niceness: int) -> None:
    """In a process of its own: write reports until there is nobody to write them for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        # Linux shares cores between sessions before priorities count (autogroup).
        os.setsid()
    _aside(_import, niceness)
    while True:
        try:
            asked = connection.recv()
        except EOFError:
            return
        answer: list[tuple[str, float]] = []
        _aside(_draw_once, *asked, niceness, answer)
        connection.send(answer[0])


def _aside(function: Callable[..., None], *arguments: object) -> None:
    """Call it in a thread of its own, because no thread can take its step back back."""
    thread = threading.Thread(target=function, args=arguments)
    thread.start()
    thread.join()


def _step_back(niceness: int) -> None:
    """Give way to everything else on the machine, on Linux."""
    if sys.platform == "linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        _rank_session(niceness)


def _rank_session(niceness: int) -> None:
    """The niceness of this process's session, where Linux groups by sessions."""
    with suppress(OSError):  # there is none, or it was changed less than a tenth of a second ago
        Path("/proc/self/autogroup").write_text(str(niceness), encoding="ascii")


def _import(niceness: int) -> None:
    _step_back(niceness)
    import deap_nas.reporting  # noqa: F401


def _draw_once(
    runs: Sequence[Path], out: Path, niceness: int, answer: list[tuple[str, float]]
) -> None:
    from deap_nas.reporting import open_reported, write_reported

    message, begun = "", 0.0
    try:
        _rank_session(0)  # a reader that is slow makes the search wait
        reported, quantities = open_reported(runs)
        begun = time.thread_time()
        _step_back(niceness)
        write_reported(reported, quantities, out)
    except Exception as error:  # whatever a user's own code does, the watch goes on
        message = f"The plots cannot be drawn: {error}"
    answer.append((message, time.thread_time() - begun))
