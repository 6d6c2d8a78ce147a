"""Runs that are watched: what a page shows of them, kept up to date at next to no cost.

A search that uses every core is slowed by whatever runs beside it.  So what changes with every
network (numbers, and what the page draws itself) is made by this process, while no core is idle in
at most .3 hundredths of the machine's time, and the plots are drawn by another one (painter.py).
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from deap_nas.finished_run import FinishedRun, declared, run_folders
from deap_nas.idle_cores import CORES, IdleCores
from deap_nas.painter import Painter
from deap_nas.reporting import check_comparable, names_of, space_of
from deap_nas.user_folders import admit_again
from deap_nas.watch_server import File, News
from toolbox.archive import FollowedArchive
from toolbox.problem import adapted
from toolbox.quantities import quantities_with
from toolbox.report.evaluations import Evaluations
from toolbox.report.page import Page, html_of, summary_of
from toolbox.report.sections import Reported, report

LOOK_SECONDS = 0.5
REST = 1 / (0.003 * CORES)  # so many times as long as a telling took, while no core is idle
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
    _painter: Painter = field(init=False)
    _idle: IdleCores = field(default_factory=IdleCores)
    _drawn_at: float | None = None  # what the plots show is of then
    _begun_at: float | None = None  # and what is being drawn, of then
    _drawn: int = 0  # how often
    _stale: bool = False  # there is something that the plots do not show

    def __post_init__(self) -> None:
        self._painter = Painter()

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
                    time.sleep(max(LOOK_SECONDS, took if self._idle.any() else REST * took))
                else:
                    time.sleep(LOOK_SECONDS)
        finally:
            self.close()

    def close(self) -> None:
        """Let go of the archives, and end what is being drawn."""
        for followed in self._followed.values():
            followed.archive.close()
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
        drawn = self._painter.finished()
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
            "drawn_from": self._begun_at,
            "drawn_at": self._drawn_at,
        }
        self.news.tell(json.dumps(told, allow_nan=False, separators=(",", ":")).encode())

    @property
    def _drawing(self) -> str:
        """What is drawn, by which a page knows whether it must be fetched again."""
        return "nothing" if self._waiting else str(self._drawn)

    def _paint(self, runs: Sequence[FinishedRun]) -> None:
        sessions = [one[-1] for run in runs if (one := run.archive.noted("sessions", []))]
        running = [one["began"] for one in sessions if not one["ended"]]
        longest = time.time() - min(map(_moment, running)) if running else None
        if self._painter.is_free(longest, self._idle.any()):
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


def _moment(told: str) -> float:
    """Seconds since 1970 of a moment in ISO 8601."""
    return datetime.fromisoformat(told).timestamp()


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
