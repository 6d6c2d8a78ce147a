"""What shows a search that was started from Python: a bar, lines, or an area of a notebook."""

import io
import logging
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from html import escape
from typing import Any

from rich.console import Console

from toolbox.event_log import EventLog
from toolbox.judge import Judge
from toolbox.progress import LOG_LINE, SearchProgress
from toolbox.quantities import Quantity
from toolbox.work import Work, heartbeat, told_work

OURS = ("deap_nas", "toolbox", "problems")
REFRESH_SECONDS = 0.2


def in_notebook() -> bool:
    """Whether the caller is a cell of a notebook."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def follower(
    judge: Judge,
    generations: int,
    most: int,
    known: Sequence[str],
    events: Sequence[EventLog],
    quantities: Mapping[str, Quantity],
    shown: bool = True,
) -> SearchProgress:
    """A bar on a terminal, an area that is updated in a notebook; lines are logged elsewhere."""
    if shown and in_notebook():
        return NotebookProgress(_nowhere(), judge, generations, most, known, events, quantities)
    screen = Console(stderr=True) if shown else _nowhere()
    return SearchProgress(screen, judge, generations, most, known, events, quantities)


def _nowhere() -> Console:
    return Console(file=io.StringIO(), force_jupyter=False)


class NotebookProgress(SearchProgress):
    """The progress of a search in one area below a cell, updated in place."""

    _area: "Area | None" = None

    @contextmanager
    def readying(self) -> Iterator[None]:
        """Show what a problem does before its first evaluation, an area for each piece of it."""
        areas: dict[str, Area] = {}

        def shown(work: Work) -> None:
            areas.setdefault(work.title, Area()).show(work, at_once=work.done >= work.total)

        with told_work(_nowhere(), shown):
            yield

    def __enter__(self) -> "NotebookProgress":
        self._area = Area()
        self._area.show(self.work)
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super()._refresh()
        assert self._area
        self._area.show(self.work, at_once=True)
        super().__exit__(*error)

    def _refresh(self) -> None:
        super()._refresh()
        if self._area:
            self._area.show(self.work)


class Area:
    """An area below a cell that shows how far a work is, updated in place."""

    _shown: Any = None
    _refreshed = 0.0

    def show(self, work: Work, at_once: bool = False) -> None:
        """Show the work as it is now, a few times a second at most unless it must be at once."""
        from IPython.display import HTML, display

        now = time.monotonic()
        if self._shown is None:
            self._shown = display(HTML(html_of(work)), display_id=True)
        elif at_once or now - self._refreshed >= REFRESH_SECONDS:
            self._shown.update(HTML(html_of(work)))
        else:
            return
        self._refreshed = now


def html_of(work: Work) -> str:
    """A title, a bar, the share done and what else is told of a work."""
    bar = f"<progress value='{work.done}' max='{work.total}'></progress>"
    return f"<div>{escape(work.title)} {bar} {escape(work.share)}<br>{escape(work.details)}</div>"


@contextmanager
def logging_of_ours(shown: bool) -> Iterator[None]:
    """Let run.log hear everything of ours, and each handler of the user's what it heard before.

    Where the user has set up no logging, warnings are written to stderr, and off a terminal and a
    notebook what a search says too.
    """
    root = logging.getLogger()
    least = {name: logging.getLogger(name).getEffectiveLevel() for name in OURS}
    before = {name: logging.getLogger(name).level for name in OURS}

    def as_before(record: logging.LogRecord) -> bool:
        return record.levelno >= least.get(record.name.partition(".")[0], logging.NOTSET)

    handlers = list(root.handlers)
    own = None
    if not handlers:
        own = logging.StreamHandler(sys.stderr)
        own.setFormatter(logging.Formatter(LOG_LINE))
        lines = shown and not in_notebook() and not sys.stderr.isatty()
        own.setLevel(logging.INFO if lines else logging.WARNING)
        own.addFilter(heartbeat)
        root.addHandler(own)
    for handler in handlers:
        handler.addFilter(as_before)
    for name in OURS:
        logging.getLogger(name).setLevel(logging.DEBUG)
    try:
        with heartbeat if shown else nullcontext():
            yield
    finally:
        for name, level in before.items():
            logging.getLogger(name).setLevel(level)
        for handler in handlers:
            handler.removeFilter(as_before)
        if own:
            root.removeHandler(own)
