"""How far a piece of work is: a live bar on a terminal, a line every half minute elsewhere."""

import bisect
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

SILENCE_SECONDS = 30.0
WIDEST_BAR, NARROWEST_BAR = 40, 8  # columns
BELIEVED = 0.05  # of what is expected in all weighs as much as what has been seen

log = logging.getLogger(__name__)
_going_on: list["Work"] = []  # the innermost last


def duration(seconds: float) -> str:
    """A duration for a person: its two largest units.

    >>> [duration(seconds) for seconds in (0.4, 7.2, 95, 7_320, 200_000)]
    ['under a second', '7 s', '1 min 35 s', '2 h 2 min', '2 d 7 h']
    """
    if seconds < 1:
        return "under a second"
    whole = round(seconds)
    for size, unit, smaller, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // smaller} {below}"
    return f"{whole // 60} min {whole % 60} s" if whole >= 60 else f"{whole} s"


def clock_after(seconds: float) -> str:
    """The clock after so many seconds, with the day if it is another one."""
    now = datetime.now().astimezone()
    then = now + timedelta(seconds=seconds)
    return f"{then:%H:%M}" if then.date() == now.date() else f"{then:%A, %d %B %Y, %H:%M}"


class Work:
    """A piece of work of a known number of steps, shown while it lasts.  A context manager.

    On a terminal it is two lines, whatever the width: the title, a bar, the share that is done and
    the time that is left; and below them `details`.  Elsewhere `heartbeat` tells of it.

    unit: what the steps are, like "networks".  title, details: may be changed at any time; tell:
    what says the details whenever they are shown, in place of words that do not change.
    free: of the steps that are done, those that took no time, such as what an archive held.
    """

    def __init__(self, console: Console, unit: str, total: int, title: str = ""):
        self.unit, self.total, self.title = unit, total, title
        self.tell: Callable[[], str] = str
        self.done = self.free = 0
        self._console = console
        self._began = self._stepped = time.monotonic()
        self._curve: Sequence[tuple[int, float]] = ()
        self._live = (
            Live(get_renderable=self._rendered, console=console, auto_refresh=True)
            if console.is_terminal
            else None
        )

    @property
    def details(self) -> str:
        return self.tell()

    @details.setter
    def details(self, words: str) -> None:
        self.tell = lambda: words

    @property
    def shown(self) -> bool:
        """Whether there is a live bar of it."""
        return self._live is not None

    def __enter__(self) -> "Work":
        self._began = self._stepped = time.monotonic()
        if _going_on and _going_on[-1]._live:
            _going_on[-1]._live.stop()  # there is room for one
        _going_on.append(self)
        if self._live:
            self._live.start(refresh=True)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        _going_on.remove(self)
        if self._live:
            self._live.stop()
        if _going_on and _going_on[-1]._live:
            _going_on[-1]._live.start()

    def advance(self, steps: int = 1, free: int = 0) -> None:
        """That many more steps are done, of which some took no time."""
        self.reach(self.done + steps, self.free + free)

    def reach(self, done: int, free: int = 0) -> None:
        """That many steps are done in all, of which some took no time."""
        self.done, self.free, self._stepped = done, free, time.monotonic()

    def expect(self, curve: Sequence[tuple[int, float]]) -> None:
        """Expect so many steps done after so many seconds, each ascending; corrected as it goes."""
        self._curve = curve

    def _expected(self) -> float:
        """Seconds after which the steps that are done were expected."""
        at = bisect.bisect_left(self._curve, (self.done, 0.0))
        return self._curve[min(at, len(self._curve) - 1)][1]

    @property
    def seconds_left(self) -> float | None:
        """As expected, and in proportion to how the expectation has been met; by the mean pace so
        far if nothing is expected: None before the first step that took time."""
        if self.done >= self.total:
            return 0.0
        since = time.monotonic() - self._stepped
        if self._curve:
            passed, in_all = self._expected(), self._curve[-1][1]
            believed = BELIEVED * in_all
            rate = (self._stepped - self._began + believed) / max(passed + believed, 1e-9)
            return max(0.0, rate * (in_all - passed) - since)
        paid = self.done - self.free
        if paid < 1:
            return None
        pace = (self._stepped - self._began) / paid
        return max(0.0, pace * (self.total - self.done) - since)

    def __str__(self) -> str:
        """What is told of it where there is no bar."""
        title = f"{self.title}: " if self.title else ""
        details = self.details
        return f"{title}{self.share}{f'; {details}' if details else ''}"

    @property
    def share(self) -> str:
        """How much is done, and the time that is left; if it is not known of how much, the time
        that it has taken."""
        if not self.total:
            return f"for {timedelta(seconds=round(time.monotonic() - self._began))} now"
        percent = 100 * self.done // self.total
        left = self.seconds_left
        time_left = "-:--:--" if left is None else timedelta(seconds=round(left))
        return f"{self.done:,}/{self.total:,} {self.unit} ({percent}%), {time_left} left"

    def _rendered(self) -> Group:
        share = self.share
        room = self._console.width - len(share) - 2
        bar = max(NARROWEST_BAR, min(WIDEST_BAR, room - len(self.title)))
        title = Text(self.title, no_wrap=True, overflow="ellipsis")
        title.truncate(max(0, room - bar), overflow="ellipsis")
        line = Table.grid(padding=(0, 1, 0, 0))
        line.add_row(
            *([title] if title else []),
            ProgressBar(total=max(1, self.total), completed=self.done, width=bar),
            Text(share, no_wrap=True, overflow="ellipsis"),
        )
        return Group(line, Text(self.details, no_wrap=True, overflow="ellipsis"))


class Heartbeat(logging.Filter):
    """A line whenever some seconds have passed without one, for as long as the context lasts.

    It is a filter of the handlers that write lines, and so knows of each.  A work with a live bar
    needs no lines.
    """

    def __init__(self, seconds: float = SILENCE_SECONDS):
        super().__init__()
        self._seconds = seconds
        self._users = 0
        self._ended = threading.Event()
        self._began = self._spoke = time.monotonic()

    def filter(self, record: logging.LogRecord) -> bool:
        self._spoke = time.monotonic()
        return True

    def __enter__(self) -> "Heartbeat":
        self._users += 1
        if self._users == 1:
            self._ended = threading.Event()
            self._began = self._spoke = time.monotonic()
            threading.Thread(target=self._beat, args=(self._ended,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._users -= 1
        if not self._users:
            self._ended.set()

    def _beat(self, ended: threading.Event) -> None:
        while not ended.wait(max(0.0, self._spoke + self._seconds - time.monotonic())):
            if time.monotonic() - self._spoke < self._seconds:
                continue
            self._spoke = time.monotonic()
            work = _going_on[-1] if _going_on else None
            if work is None:
                passed = timedelta(seconds=round(self._spoke - self._began))
                log.info("still running, after %s", passed)
            elif not work.shown:
                log.info("%s", work)


heartbeat = Heartbeat()  # of this process


# Called with a work whenever it has moved on, and once more when it is over.
Shown = Callable[["Work"], None]


class _Told(logging.Handler):
    """Shows the work that log records tell of."""

    def __init__(self, console: Console, shown: Shown | None = None):
        super().__init__(logging.DEBUG)
        self._console = console
        self._shown = shown
        self._work: Work | None = None

    def emit(self, record: logging.LogRecord) -> None:
        told: tuple[str, str, int, int] | None = getattr(record, "work", None)
        if told is None:
            return
        title, unit, done, total = told
        if self._work is None or self._work.title != title:
            self.end()
            self._work = Work(self._console, unit, total, title)
            self._work.__enter__()
            self._work.reach(done, free=done)  # from an earlier session
        else:
            self._work.reach(done, free=self._work.free)
        if self._shown:
            self._shown(self._work)
        if done >= total:
            self.end()

    def end(self) -> None:
        if self._work:
            self._work.__exit__(None, None, None)
        self._work = None


@contextmanager
def told_work(console: Console, shown: Shown | None = None) -> Iterator[None]:
    """Show the work that log records tell of by `extra={"work": (title, unit, done, total)}`.

    The first record of a title begins it.  So those who work need not know who shows it.  shown:
    shows it too, where the console is no terminal.
    """
    handler = _Told(console, shown)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.end()
