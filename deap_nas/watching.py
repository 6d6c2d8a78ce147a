"""Runs that are watched: what a page shows of them, kept up to date at next to no cost.

A search that uses every core is slowed by whatever runs beside it.  So what changes with every
network (numbers, and what the page draws itself) is made by this process, in at most half a
hundredth of the machine's time, and the plots are drawn in as much by a process that, on Linux, has
the lowest priority.
"""

import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

from deap_nas.finished_run import FinishedRun, declared, run_folders
from deap_nas.reporting import check_comparable, names_of, open_reported, space_of, write_reported
from deap_nas.user_folders import admit_again
from deap_nas.watch_server import File, News
from toolbox.archive import FollowedArchive
from toolbox.problem import adapted
from toolbox.quantities import quantities_with
from toolbox.report.evaluations import Evaluations
from toolbox.report.page import Page, html_of, summary_of
from toolbox.report.sections import Reported, report

LOOK_SECONDS = 0.5
REST_FOR_COST = 200 / (os.cpu_count() or 1)  # this process rests so many times as long as it worked
REST_FOR_DRAWING = REST_FOR_COST  # and so does the one that draws
DRAWING_NICENESS = 19  # which has the lowest priority, where the system has any (Linux)
KINDS = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".csv": "text/csv; charset=utf-8",
    ".html": "text/html; charset=utf-8",
}


@dataclass(eq=False)
class _Followed:
    """A run folder as far as it is known."""

    path: Path
    archive: FollowedArchive
    run: FinishedRun | None = None
    declared_at: float = -1.0

    def news(self) -> bool:
        """Whether there is something new.  Raises ValueError, one line, if it cannot be read."""
        new = self.archive.news()
        archive = self.archive.archive
        if archive is None or not len(archive):
            self.run = None
            return new
        written = (self.path / "declaration.toml").stat().st_mtime
        if self.run is None or written != self.declared_at:
            admit_again(self.path)
            declaration = declared(self.path)
            built = declaration.problem.build()
            self.run = FinishedRun(self.path, declaration, built, archive, self.path)
            self.declared_at = written
            return True
        if new:  # what it remembers of generations.csv is of before
            self.run = replace(self.run, archive=archive)
        return new


@dataclass(eq=False)
class Watch:
    """What a page shows of run folders, or of folders of them, that may not exist yet.

    out: the folder of the report, which is drawn again and again.  news: hears of every change.
    """

    paths: Sequence[Path]
    out: Path
    news: News = field(default_factory=News)
    _followed: dict[Path, _Followed] = field(default_factory=dict)
    _told: int = 0  # how often
    _said: tuple[str, ...] | None = None  # the notes of the last page
    _page: bytes = b""  # until plots are drawn
    _waiting: bool = True
    _painter: "Painter | None" = None
    _drawn_at: float | None = None  # what the plots show is of then
    _begun_at: float | None = None  # and what is being drawn, of then
    _drawn: int = 0  # how often
    _stale: bool = False  # there is something that the plots do not show

    def keep_looking(self) -> None:
        """Look again and again, until it is interrupted."""
        before = 0.0  # what the last telling took
        try:
            while True:
                begun, told = time.thread_time(), self._told
                self.look()
                if self._told > told:
                    took = time.thread_time() - begun
                    # What takes long once, such as the first import, is no reason to rest.
                    before, took = took, min(before, took)
                    time.sleep(max(LOOK_SECONDS, REST_FOR_COST * took))
                else:
                    time.sleep(LOOK_SECONDS)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the archives, and end what is being drawn."""
        for followed in self._followed.values():
            followed.archive.close()
        if self._painter:
            self._painter.close()

    def look(self) -> None:
        """Take up what is new, tell the pages, and have plots drawn if it is time."""
        notes, new = [], False
        folders = run_folders(self.paths)
        for path in [path for path in self._followed if path not in folders]:
            self._followed.pop(path).archive.close()
            new = True
        for path in folders:
            if path not in self._followed:
                followed = _Followed(path, FollowedArchive(path / "archive.sqlite"))
                self._followed[path] = followed
            try:
                new |= self._followed[path].news()
            except (ValueError, OSError) as error:
                notes.append(f"{path}: {error}")
            if self._followed[path].run is None:
                notes.append(f"Waiting for the first network of {path}.")
        runs = [one.run for one in self._followed.values() if one.run]
        drawn = self._painter.finished() if self._painter else None
        if drawn is not None:
            notes += [drawn] if drawn else []
            self._drawn += not drawn
            self._drawn_at = self._drawn_at if drawn else self._begun_at
        self._stale |= new
        if new or drawn is not None or tuple(notes) != self._said:
            self._tell(runs, notes)
        if runs and self._stale:
            self._paint(runs)

    def _tell(self, runs: Sequence[FinishedRun], notes: Sequence[str]) -> None:
        self._said, self._waiting = tuple(notes), not runs
        self._told += 1
        page = _page_of(runs, notes, self.paths)
        if not self._drawn or not runs:
            self._page = html_of(page, {}).encode()
        told = {
            "summary": summary_of(page),
            "all": page.explored,
            "curves": page.curves,
            "opened": page.opened,
            "drawing": self._drawing,
            "at": time.time(),
            "drawn_at": self._drawn_at,
        }
        self.news.tell(json.dumps(told, allow_nan=False, separators=(",", ":")).encode())

    @property
    def _drawing(self) -> str:
        """What is drawn, by which a page knows whether it must be fetched again."""
        return "nothing" if self._waiting else str(self._drawn)

    def _paint(self, runs: Sequence[FinishedRun]) -> None:
        if self._painter is None:
            self._painter = Painter()
        ended = all(run.archive.noted("sessions", [{"ended": ""}])[-1]["ended"] for run in runs)
        if self._painter.is_free(hurry=ended):
            self._painter.paint([run.path for run in runs], self.out)
            self._begun_at, self._stale = time.time(), False

    def file(self, name: str) -> File | None:
        """The page, for no name, or a plot or a table beside it."""
        if not name:
            page = self._page
            if self._drawn and not self._waiting:
                page = (self.out / "report.html").read_bytes()
            watched = f'<html data-watched="{self._drawing}" '.encode()
            return File(page.replace(b"<html ", watched, 1), KINDS[".html"])
        path = self.out / name
        if "/" in name or "\\" in name or path.suffix not in KINDS or not path.is_file():
            return None
        return File(path.read_bytes(), KINDS[path.suffix])


def _page_of(runs: Sequence[FinishedRun], notes: Sequence[str], paths: Sequence[Path]) -> Page:
    """What takes no time of the report, or what it waits for."""
    try:
        if not runs:
            raise ValueError
        check_comparable(runs)
    except ValueError as error:
        said = ", ".join(map(str, paths))
        return Page(said, "", [], [*notes, *([str(error)] if str(error) else [])], [])
    reported = [
        Reported(
            run.declaration,
            evaluations := Evaluations(
                name, run.judge, run.archive, run.declaration.population, run.generations
            ),
            bool(evaluations.ended),
            space_of(run),
            lambda record: [],
        )
        for run, name in zip(runs, names_of(runs), strict=True)
    ]
    page = report(reported, quantities_with(adapted(runs[0].problem).quantities), False)
    return replace(page, notes=[*notes, *page.notes])


class Painter:
    """A process that draws reports, one after the other, and rests in between."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")  # threads are running here
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_draw, args=(theirs, DRAWING_NICENESS), daemon=True)
        self._process.start()
        theirs.close()
        self._at_work = False
        self._rests_until = 0.0

    def is_free(self, hurry: bool) -> bool:
        """Whether it may draw.  hurry: there is no search that it could slow."""
        rested = hurry or time.monotonic() >= self._rests_until
        return not self._at_work and rested and self._process.is_alive()

    def paint(self, runs: Sequence[Path], out: Path) -> None:
        """Begin to write the report of some runs."""
        self._connection.send((list(runs), out))
        self._at_work = True

    def finished(self) -> str | None:
        """What went wrong, "" if nothing did; None if nothing has been finished since."""
        if not self._at_work or not (self._connection.poll() or not self._process.is_alive()):
            return None
        self._at_work = False
        try:
            message, seconds = self._connection.recv()
        except EOFError:
            return "The process that draws the plots has ended."
        self._rests_until = time.monotonic() + max(1.0, REST_FOR_DRAWING * seconds)
        return str(message)

    def close(self) -> None:
        """End it, whatever it is doing: every file is replaced whole."""
        self._process.kill()
        self._process.join()
        self._connection.close()


def _draw(connection: Connection, niceness: int) -> None:
    """In a process of its own: write reports until there is nobody to write them for."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            asked = connection.recv()
        except EOFError:
            return
        answer: list[tuple[str, float]] = []
        # A thread of its own for each, because none can take its step back back.
        thread = threading.Thread(target=_draw_once, args=(*asked, niceness, answer))
        thread.start()
        thread.join()
        connection.send(answer[0])


def _draw_once(
    runs: Sequence[Path], out: Path, niceness: int, answer: list[tuple[str, float]]
) -> None:
    message, begun = "", 0.0
    try:
        reported, quantities = open_reported(runs)  # a reader that is slow makes the search wait
        begun = time.thread_time()
        if sys.platform == "linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        write_reported(reported, quantities, out)
    except Exception as error:  # whatever a user's own code does, the watch goes on
        message = f"The plots cannot be drawn: {error}"
    answer.append((message, time.thread_time() - begun))
